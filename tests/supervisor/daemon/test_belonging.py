"""What belongs to its parent's run: gone with it, whoever dies first, and within its limits. And what a process tells
of its own end."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.errors import InputError
from aish.model import exit as exits
from aish.supervisor.daemon import offspring
from aish.wire.message import Stop
from aish.wire.reply import Done
from aish.wire.spec import LimitPart

if TYPE_CHECKING:
    from conftest import Supervised

PARENT = """
import subprocess, sys, time
from aish.client import Aish
from aish.errors import AishError
from aish.wire.spec import SpecPart
with Aish() as aish:
    made = aish.spawn(["sleep", "1000"], name="helper", with_parent=True)
    print(made.id, flush=True)
    if "tool" in sys.argv:
        subprocess.run([sys.executable, "-c", TOOL], check=True)
    if "stays" in sys.argv:
        time.sleep(1000)
"""
TOOL = """
from aish.client import Aish
from aish.errors import AishError
with Aish() as aish:
    for act in (lambda: aish.spawn(["true"], with_parent=True), lambda: aish.conclude("budget", "so says my tool")):
        try:
            act()
            print("done", flush=True)
        except AishError as error:
            print(error.code, flush=True)
"""
ENDS = """
import os, signal, sys
from aish.client import Aish
with Aish() as aish:
    aish.conclude(sys.argv[1], "said by itself")
    if "daemon" in sys.argv:
        os.kill(int(sys.argv[3]), signal.SIGKILL)
sys.exit(int(sys.argv[2]))
"""


def reason(up: Supervised, id_: str) -> str | None:
    end = up.wait(id_).exit
    return end.reason if end is not None else None


def parent(up: Supervised, *words: str, **fields: object) -> tuple[str, str]:
    """Its id, and that of what belongs to it."""
    code = f"TOOL = {TOOL!r}\n{PARENT}"
    made = up.spawn(sys.executable, "-c", code, *words, name="parent", **fields)  # type: ignore[arg-type]
    up.until("it has a helper", lambda: bool(up.log(made.id)[0].strip()))
    return made.id, up.log(made.id)[0].split()[0]


def test_it_ends_with_its_parent_and_why_is_told(up: Supervised) -> None:
    above, below = parent(up)
    assert up.code(above) == 0
    assert reason(up, below) == exits.PARENT
    row = up.inspect(below).process
    assert (row.lifecycle, row.parent) == ("exited", above)
    assert f"It belongs to parent ({above})" in " ".join(up.home.aish("why", below).stdout.split())


@pytest.mark.parametrize("grace_s", [None, 0.0])
def test_it_ends_where_its_parent_is_stopped_or_killed(up: Supervised, grace_s: float | None) -> None:
    above, below = parent(up, "stays")
    up.client.ask(Done, Stop(target=above, grace_s=grace_s))
    assert reason(up, below) == exits.PARENT


@pytest.mark.usefixtures("home")
def test_it_ends_where_its_parent_has_died_while_no_daemon_was_there(up: Supervised) -> None:
    above, below = parent(up, "stays")
    pid, helper = up.inspect(above).process.pid, up.inspect(below).process.pid
    assert pid is not None
    assert helper is not None
    up.kill_daemon()
    os.kill(pid, signal.SIGKILL)
    assert reason(up, below) == exits.PARENT
    assert not Path(f"/proc/{helper}").exists()


def test_it_has_the_limits_of_its_parent_and_a_tool_has_no_helpers(up: Supervised) -> None:
    limits = LimitPart(pids=50)
    above, below = parent(up, "tool", "stays", limits=limits)
    assert up.inspect(below).spec.limits == limits
    up.until("the tool has tried", lambda: len(up.log(above)[0].split()) == 3)
    assert up.log(above)[0].split()[1:] == ["refused", "refused"]


CHAIN = """
from aish.client import Aish
from aish.errors import AishError
with Aish() as aish:
    try:
        aish.spawn(["sleep", "1000"], with_parent=True)
        print("done", flush=True)
    except AishError as error:
        print(error.code, flush=True)
"""
STORM = """
from aish.client import Aish
from aish.errors import AishError
with Aish() as aish:
    for number in range(MOST + 1):
        try:
            aish.spawn(["sleep", "1000"], name="helper", rename=True, with_parent=True)
        except AishError as error:
            print(number, error.code, flush=True)
"""


def test_what_belongs_to_a_run_has_nothing_of_its_own(up: Supervised) -> None:
    """It does not count for the limit of its parent's children, nor would what is below it."""
    code = f"""
import sys
from aish.client import Aish
with Aish() as aish:
    made = aish.spawn([sys.executable, "-c", {CHAIN!r}], name="helper", with_parent=True)
    made.wait()
"""
    above = up.spawn(sys.executable, "-c", code, name="parent", limits=LimitPart(children=1))
    assert up.code(above.id) == 0
    assert up.log("helper")[0] == "limit\n"


@pytest.mark.slow
def test_so_many_belong_to_a_run_and_not_one_more(up: Supervised) -> None:
    """By them a process started as many others as it liked, whatever its limit of children."""
    code = f"MOST = {offspring.HELPERS_MOST}\n{STORM}"
    above = up.spawn(sys.executable, "-c", code, name="parent", limits=LimitPart(children=1))
    assert up.code(above.id) == 0
    assert up.log(above.id)[0] == f"{offspring.HELPERS_MOST} limit\n"


def test_nobody_but_a_process_has_something_that_belongs_to_it(up: Supervised) -> None:
    with pytest.raises(InputError, match="supervised process"):
        up.spawn("true", with_parent=True)


def test_its_own_word_is_the_reason_of_its_end(up: Supervised) -> None:
    made = up.spawn(sys.executable, "-c", ENDS, exits.LOOP, "75", name="round")
    assert reason(up, made.id) == exits.LOOP
    row = up.inspect(made.id).process
    assert (row.exit and row.exit.code, row.reason) == (75, "said by itself")
    (event,) = [event for event in up.events() if event.process == made.id and event.kind == "exited"]
    assert event.detail["reason"] == exits.LOOP
    assert "went round in a circle: said by itself" in " ".join(up.home.aish("why", made.id).stdout.split())
    assert "loop" in up.home.aish("ps", "-a").stdout


@pytest.mark.usefixtures("home")
def test_it_is_kept_by_a_daemon_that_dies_at_once(up: Supervised) -> None:
    """Acknowledged is written."""
    daemon = str(up.daemon_pid)
    made = up.spawn(sys.executable, "-c", ENDS, exits.BUDGET, "75", daemon, "daemon")
    assert reason(up, made.id) == exits.BUDGET


def test_what_ends_well_or_was_stopped_has_not_its_own_word(up: Supervised) -> None:
    made = up.spawn(sys.executable, "-c", ENDS, exits.LOOP, "0")
    assert reason(up, made.id) == exits.DONE
    made = up.spawn(sys.executable, "-c", ENDS, "oom", "3")
    assert (up.code(made.id), reason(up, made.id)) == (1, None), "not its to say: refused, and it fails by that"
