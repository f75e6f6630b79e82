"""The gateway as a supervised process, and what daemon and gateway tell each other: the real one, a made-up model."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from aish.errors import ConflictError, NotFoundError, RefusedError, UsageError
from aish.supervisor.daemon.gateway_link import spent
from aish.wire.message import (
    KeyList,
    KeyNew,
    KeyRevoke,
    Limit,
    Pause,
    Restart,
    SlotKeep,
    SlotUse,
    Stop,
    UsageQuery,
    Wait,
)
from aish.wire.part import ProcessPart, SlotPart, TokensPart
from aish.wire.reply import Done, KeyMade, Keys, UsageTable, Waited

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Supervised

ASK = """
import json, os, sys, urllib.request
body = json.dumps({"model": "made-up", "messages": [{"role": "user", "content": "x"}]}).encode()
for _ in range(int(sys.argv[1])):
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body,
        {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"})
    print(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"], flush=True)
"""


def gateway(up: Supervised) -> ProcessPart:
    return up.row("gateway")


def test_the_gateway_cannot_be_paused(up: Supervised) -> None:
    """Every agent would have stood still, and nothing said why."""
    up.client.request(KeyNew(name="somebody"))  # starts it
    with pytest.raises(ConflictError, match="part of aish"):
        up.client.request(Pause(target="gateway"))


def get(url: str, key: str = "none") -> tuple[int, Any]:
    request = urllib.request.Request(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.usefixtures("home")
def test_it_starts_at_the_first_connection(up: Supervised) -> None:
    """A program with a key of `aish key new` must not find a dead port because nobody had spawned an agent yet."""
    with pytest.raises(NotFoundError):
        up.row("gateway")
    status, _ = get(up.client.welcome.gateway_url)
    assert status == 401
    assert gateway(up).state == "running"


@pytest.mark.usefixtures("home")
def test_its_address_is_kept_over_its_death_and_the_daemons(up: Supervised) -> None:
    url = up.client.welcome.gateway_url
    key = up.client.ask(KeyMade, KeyNew(name="me")).key
    first = gateway(up).pid
    os.kill(first or 0, signal.SIGKILL)
    assert get(url, key)[0] == 200, "a connection during the restart waits instead of failing"
    assert gateway(up).pid != first
    second = gateway(up).pid
    up.kill_daemon()
    assert get(url, key)[0] == 200
    up.next_daemon()
    assert up.client.welcome.gateway_url == url
    assert gateway(up).pid == second


@pytest.mark.usefixtures("home")
def test_its_port_is_kept_over_a_shutdown(up: Supervised) -> None:
    url = up.client.welcome.gateway_url
    assert up.home.aish("shutdown").returncode == 0
    up.next_daemon()
    assert up.client.welcome.gateway_url == url


@pytest.mark.usefixtures("home")
def test_a_port_that_another_program_took_is_told_and_another_is_chosen(up: Supervised) -> None:
    url = up.client.welcome.gateway_url
    assert up.home.aish("shutdown").returncode == 0
    with socket.create_server(("127.0.0.1", int(url.rsplit(":", 1)[1]))):
        up.next_daemon()
        assert up.client.welcome.gateway_url != url
        (alert,) = up.view().alerts
        assert "is taken" in alert
        assert get(up.client.welcome.gateway_url)[0] == 401


@pytest.mark.usefixtures("home")
def test_keys(up: Supervised) -> None:
    made = up.client.ask(KeyMade, KeyNew(name="me", budget_tokens=1000))
    assert made.base_url == f"{up.client.welcome.gateway_url}/v1"
    assert get(up.client.welcome.gateway_url, made.key)[0] == 200
    assert [key.name for key in up.client.ask(Keys, KeyList()).keys] == ["me"]
    up.client.request(KeyRevoke(name="me"))
    assert get(up.client.welcome.gateway_url, made.key)[0] == 401
    with pytest.raises(NotFoundError):
        up.client.request(KeyRevoke(name="you"))


ASK_AT_ONCE = """
import json, os, sys, threading, urllib.request
def ask():
    body = json.dumps({"model": "slow", "messages": [{"role": "user", "content": sys.argv[1]}]}).encode()
    urllib.request.urlopen(urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body,
        {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"}))
threads = [threading.Thread(target=ask) for _ in range(int(sys.argv[2]))]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.usefixtures("home")
def test_turns_at_a_model_go_by_niceness_and_ps_tells_who_is_next(up: Supervised, tmp_path: Path) -> None:
    """The niceness that `aish limit` sets is the weight at the gateway, too."""
    file = tmp_path / "asked"
    up.serve("--gate", str(file), name="slow", concurrent=1)
    up.python(ASK_AT_ONCE, "first", "1", kind="agent", name="first")
    up.until("it is at work", file.exists)
    up.python(ASK_AT_ONCE, "low", "3", kind="agent", name="low")
    up.client.request(Limit(target="low", nice=str(min(19, os.nice(0) + 10))))
    up.until("all of it wait", lambda: up.row("low").doing == "1st of 3 for slow")
    assert up.row("low").state == "waiting"
    up.python(ASK_AT_ONCE, "high", "3", kind="agent", name="high")
    up.until("all wait", lambda: up.row("high").doing == "2nd of 6 for slow")
    up.until("its model tells", lambda: up.row("slow").doing == "1 request, 6 wait")
    file.with_suffix(".go").touch()
    for name in ("low", "high"):
        assert up.code(up.row(name).id) == 0, up.log(name)
    assert file.read_text().split() == ["first", "low", "high", "high", "high", "low", "low"]


LIMIT_KEY = """
from aish.client import connect
from aish.errors import RefusedError
from aish.wire.message import Limit
try:
    connect(start=False).request(Limit(target="key:me", tokens="+1m"))
except RefusedError:
    raise SystemExit(7)
"""


@pytest.mark.usefixtures("home")
def test_a_key_is_as_nice_as_it_was_made_and_as_it_is_told_since(up: Supervised) -> None:
    def nice() -> list[int]:
        return [key.nice for key in up.client.ask(Keys, KeyList()).keys]

    assert up.home.aish("key", "new", "ci", "nice=5").returncode == 0
    assert nice() == [5]
    assert up.home.aish("limit", "key:ci", "nice=-3", "usd=5").returncode == 0
    assert nice() == [-3]
    refused = up.home.aish("key", "new", "other", "usd=5")
    assert (refused.returncode, "no such setting of a key: usd=5" in refused.stderr) == (2, True), refused
    assert nice() == [-3]


@pytest.mark.usefixtures("home")
def test_the_limit_of_a_named_key_is_changed_by_the_user_alone(up: Supervised) -> None:
    up.client.ask(KeyMade, KeyNew(name="me", budget_tokens=1000))

    def budget() -> int | None:
        (key,) = up.client.ask(Keys, KeyList()).keys
        return key.budget_tokens

    assert up.client.ask(Done, Limit(target="key:me", tokens="+500")).changed
    assert not up.client.ask(Done, Limit(target="@key:me", tokens="1500")).changed
    assert budget() == 1500
    assert up.code(up.spawn(sys.executable, "-c", LIMIT_KEY).id) == 7, "an agent raises nobody's budget"
    assert budget() == 1500
    done = up.home.aish("limit", "key:me", "tokens=none")
    assert (done.returncode, budget()) == (0, None), done
    with pytest.raises(NotFoundError, match="no key is called"):
        up.client.request(Limit(target="key:you", tokens="5"))
    with pytest.raises(UsageError, match="a key has a budget and a niceness only"):
        up.client.request(Limit(target="key:me", vram="5G"))


@pytest.mark.usefixtures("home")
def test_a_model_becomes_ready_and_tokens_are_counted(up: Supervised) -> None:
    """ps shows what the model server counted: 3 requests of 7 + 5 tokens."""
    model = up.serve()
    asker = up.python(ASK, "3", kind="agent", name="asker")
    assert up.code(asker.id) == 0, up.log(asker.id)
    assert up.log(asker.id)[0] == "hi\n" * 3
    up.until(
        "the totals are there",
        lambda: (up.row(asker.id).tokens is not None) and up.row(asker.id).tokens.requests == 3,
    )  # type: ignore[union-attr]
    tokens = up.row(asker.id).tokens
    assert tokens is not None
    assert (tokens.input, tokens.output) == (21, 15)
    (row,) = [row for row in up.client.ask(UsageTable, UsageQuery()).rows if row.key == asker.id]
    assert (row.tokens.input, row.tokens.output, row.tokens.requests) == (21, 15, 3)
    all_of_them = TokensPart(input=4 * 7, output=4 * 5, requests=4)
    up.until("the model's are those of its server, the probe's too", lambda: up.row(model).tokens == all_of_them)
    up.kill_daemon()
    up.next_daemon()
    again = up.row(asker.id).tokens
    assert again == tokens
    assert up.row(model).tokens == all_of_them
    assert up.row(model).ready == "yes"
    up.client.request(Stop(target=model))
    up.wait(model)


def test_agents_of_one_name_at_once_are_one_in_usage(up: Supervised) -> None:
    """The process table numbers their names; what an agent costs must not be split by that."""
    up.serve()
    gate = os.pipe()
    waits = ("sh", "-c", 'read x; exec "$@"', "sh", sys.executable, "-I", "-S", "-c", ASK, "1")
    fields: dict[str, Any] = {"kind": "agent", "name": "twin", "rename": True, "fds": {0: gate[0]}}
    started = [up.spawn(*waits, **fields) for _ in range(2)]
    os.close(gate[0])
    os.close(gate[1])
    assert [process.name for process in started] == ["twin", "twin-2"]
    for process in started:
        assert up.code(process.id) == 0, up.log(process.id)
    rows = up.client.ask(UsageTable, UsageQuery(by="agent")).rows
    assert {row.key: row.tokens.requests for row in rows if row.key.startswith("twin")} == {"twin": 2}


@pytest.mark.usefixtures("home")
def test_a_spent_budget_holds_and_a_raised_one_releases(up: Supervised) -> None:
    up.serve()
    asker = up.python(ASK, "6", kind="agent", name="asker", budget_tokens=20)
    up.until("it is held", lambda: up.row("asker").state == "over-budget")
    assert up.row("asker").holds == ["budget"]
    before = up.log("asker")[0]
    assert before.count("hi") < 6
    up.kill_daemon()
    up.next_daemon()
    assert up.row("asker").state == "over-budget"
    up.client.request(Limit(target="asker", tokens="+1000"))
    assert up.code(asker.id) == 0
    assert up.log("asker")[0] == "hi\n" * 6
    assert up.row("asker").holds == []
    kinds = [event.kind for event in up.events() if event.process == asker.id]
    assert "held" in kinds
    assert "released" in kinds


PEEK = """
from aish.client import connect
from aish.errors import RefusedError
from aish.wire.message import BudgetQuery, Limit
from aish.wire.reply import Budgets
with connect(start=False) as client:
    print([line.account for line in client.ask(Budgets, BudgetQuery(target="peek")).lines])
    for request in (Limit(target="user", budget={"requests": "+9"}), BudgetQuery(target="user"),
                    Limit(target="project:/a/aish.toml", budget={"requests": "+9"})):
        try:
            client.request(request)
        except RefusedError:
            print("refused")
"""


@pytest.mark.usefixtures("home")
def test_the_users_budget_holds_everybody_and_the_user_alone_changes_it(up: Supervised) -> None:
    up.serve()
    assert up.client.ask(Done, Limit(target="user", budget={"requests/day": "2"})).changed
    asker = up.python(ASK, "4", kind="agent", name="asker", budget_tokens=1000)
    up.until("it is held", lambda: up.row("asker").state == "over-budget")
    assert up.row("asker").doing == "over today's budget of the user: 2 requests"
    why = up.home.aish("why", "asker").stdout
    assert "since today's budget of requests of the user is spent: 2 of 2 requests" in " ".join(why.split())
    assert "`aish limit user requests=+100/day` lets it go on, and so does midnight" in " ".join(why.split())
    (warned,) = [event for event in up.events() if event.kind == "warned"]
    assert (warned.process, warned.detail["owner"]) == (None, "user")
    assert warned.text == "80 % of the budget of requests for today of the user is used"
    peek = up.spawn(sys.executable, "-c", PEEK, name="peek")
    assert up.code(peek.id) == 0
    assert up.log("peek")[0].splitlines() == ["[]", "refused", "refused", "refused"]
    shown = up.home.aish("limit", "asker").stdout
    assert [line.split()[:4] for line in shown.splitlines()[1:]] == [
        [asker.id, "tokens", "24", "-"],
        ["user", "requests", "a", "day"],
    ]
    up.kill_daemon()
    up.next_daemon()
    assert up.home.aish("limit", "user", "requests=+2/day").returncode == 0
    assert up.code(asker.id) == 0
    assert "no_such" not in up.home.aish("limit", "user").stdout
    assert up.home.aish("limit", "user", "requests=none/day").returncode == 0
    assert up.home.aish("limit", "user").stdout.startswith("nothing is limited for the user: ")


def test_what_a_server_uses_beyond_the_bound_is_an_event_with_its_number(up: Supervised) -> None:
    up.serve("--prompt-tokens", "70000")
    asker = up.python(ASK, "2", kind="agent", name="asker", budget_tokens=20_000)
    up.until("it is held", lambda: up.row("asker").state == "over-budget")
    up.until("it is told", lambda: any(event.kind == "exceeded" for event in up.events()))
    (event,) = [event for event in up.events() if event.kind == "exceeded"]
    assert event.process == asker.id
    assert {name: event.detail[name] for name in ("model", "owner", "what", "budget", "over")} == {
        "model": "made-up", "owner": asker.id, "what": "tokens", "budget": 20_000, "over": 50_005,
    }  # fmt: skip
    assert event.text.startswith(
        f"request {event.detail['request']} to made-up took 70,005 tokens, more than the bound of "
    )
    assert event.text.endswith(" tokens: its budget is exceeded by 50,005 tokens")
    assert "50,005" in " ".join(up.home.aish("why", "asker", "--json").stdout.split())


GIVES_UP = """
import socket, os, sys
host, port = os.environ["OPENAI_BASE_URL"].split("/")[2].split(":")
body = b'{"model": "made-up", "messages": [{"role": "user", "content": "x"}]}'
head = "POST /v1/chat/completions HTTP/1.1\\r\\nHost: localhost\\r\\nAuthorization: Bearer %s\\r\\nContent-Length: %d\\r\\n\\r\\n"
with socket.create_connection((host, int(port))) as gateway:
    gateway.sendall((head % (os.environ["OPENAI_API_KEY"], len(body))).encode() + body)
    sys.stdin.read()
import time; time.sleep(60)
"""  # noqa: E501


def test_a_held_request_that_is_given_up_is_not_told_as_a_raised_budget(up: Supervised) -> None:
    up.serve()
    gate = os.pipe()
    asker = up.python(GIVES_UP, kind="agent", name="asker", budget_tokens=1, fds={0: gate[0]})
    os.close(gate[0])
    up.until("it is held", lambda: up.row("asker").holds == ["budget"])
    os.close(gate[1])
    up.until("it is released", lambda: up.row("asker").holds == [])
    (told,) = [event.text for event in up.events() if event.process == asker.id and event.kind == "released"]
    assert told == "the request that waited was given up"


@pytest.mark.usefixtures("home")
def test_a_damaged_gateway_db_is_told_and_what_was_spent_still_counts(up: Supervised) -> None:
    """No agent could ask a model any more, and only the gateway's log said why."""
    up.serve()
    asker = up.python(ASK, "60", kind="agent", name="asker", budget_tokens=700)
    up.until("it is held", lambda: up.row("asker").holds == ["budget"])
    up.until(
        "all is told", lambda: (up.row("asker").tokens or TokensPart()).requests == up.log("asker")[0].count("hi")
    )
    before = up.row("asker").tokens
    assert before is not None
    state = up.home.root / "state" / "aish"
    pid = gateway(up).pid
    pidfd = os.pidfd_open(pid or 0)
    signal.pidfd_send_signal(pidfd, signal.SIGSTOP)  # so that it writes nothing into the garbage
    for name in ("gateway.db", "gateway.db-wal"):
        (state / name).write_bytes(b"garbage" * 1000)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    up.until("it is told", lambda: any("gateway.db is damaged" in alert for alert in up.view().alerts))
    assert "gateway.db is damaged" in up.home.aish("doctor").stdout
    asked = up.python(ASK, "1", kind="agent", name="free")
    assert up.code(asked.id) == 0, up.log(asked.id)
    left = up.client.ask(UsageTable, UsageQuery()).rows
    assert [row.key for row in left if row.key in (asker.id, asked.id)] == [asked.id], "earlier usage is not shown"
    up.until("its totals go on", lambda: up.row("asker").tokens == before)


def test_what_was_spent_below_a_process_is_its_own() -> None:
    def process(id_: str, parent: str | None, tokens: int | None, **more: Any) -> Any:
        part = None if tokens is None else TokensPart(input=tokens, output=1)
        spec = SimpleNamespace(kind=more.pop("kind", "agent"))
        row = SimpleNamespace(id=id_, parent=parent, tokens=part, spec=spec, ended=more.pop("ended", False))
        return SimpleNamespace(id=id_, row=row)

    assert spent(
        [
            process("p1", None, None),
            process("p2", "p1", 10, ended=True),
            process("p3", "p2", 20),
            process("p4", None, 500, kind="model"),
            process("p5", "gone", 30),
        ]
    ) == {"p1": 32, "p3": 21, "p5": 31}


def test_a_model_has_no_budget_of_its_own(up: Supervised) -> None:
    """It was taken and did nothing."""
    model = up.serve()
    with pytest.raises(UsageError, match="is a model") as caught:
        up.client.request(Limit(target=model, tokens="10"))
    assert "aish limit @AGENT" in (caught.value.hint or "")


def test_a_childs_use_counts_for_its_parent(up: Supervised) -> None:
    """Else an agent gets round its budget by starting another."""
    up.serve()
    code = (
        "import secrets, sys, os\nfrom aish.client import connect, launch\nfrom aish.wire.message import *\n"
        "from aish.wire.reply import *\n"
        "from aish.wire.part import *\nfrom aish.wire.spec import *\n"
        "client = connect(start=False)\n"
        "argv = [os.fsencode(word) for word in [sys.executable, '-c', sys.argv[1], '6']]\n"
        "spec = SpecPart(argv=argv, kind='agent')\n"
        "child = client.ask(Started, Spawn(token=secrets.token_hex(16), spec=spec, launch=launch.capture()))\n"
        "client.request(Wait(target=child.id))\n"
    )
    up.spawn(sys.executable, "-c", code, ASK, kind="agent", name="parent", budget_tokens=20)
    up.until(
        "the child is held", lambda: any(row.state == "over-budget" and row.parent for row in up.view().processes)
    )
    up.client.request(Limit(target="parent", tokens="none"))
    assert up.code("parent") == 0


def test_a_paused_process_sends_no_requests(up: Supervised) -> None:
    up.serve()
    asker = up.spawn(
        "sh",
        "-c",
        'read x; exec "$@"',
        "sh",
        sys.executable,
        "-I",
        "-S",
        "-c",
        ASK,
        "1",
        kind="agent",
        name="asker",
        fds={0: (ends := os.pipe())[0]},
    )
    os.close(ends[0])
    up.client.request(Pause(target="asker"))
    os.close(ends[1])
    assert up.row("asker").state == "paused"
    up.client.request(Stop(target="asker"))
    assert up.wait(asker.id).state == "exited"


def test_a_model_whose_server_dies_is_not_ready(up: Supervised) -> None:
    model = up.serve()
    up.client.request(Stop(target=model, grace_s=0))
    assert up.wait(model).state == "exited"
    assert up.row(model).ready == "unknown"


def test_what_was_hopeless_is_waited_for_in_its_next_run(up: Supervised, tmp_path: Path) -> None:
    """`aish up` and `--ready` gave up at once, for what the server had said before it was started again."""
    paid = tmp_path / "paid"
    model = up.model("--paid", str(paid), name="dear")
    request = Wait(target=model, until="ready", timeout_s=20.0, give_up=True)
    assert "402" in (up.client.ask(Waited, request).hopeless or "")
    paid.touch()
    up.client.ask(Done, Restart(target=model))
    waited = up.client.ask(Waited, request)
    assert (waited.hopeless, waited.timed_out) == (None, False)


SLOTS = """
import subprocess, sys
from aish.client import connect
from aish.errors import RefusedError
from aish.wire.message import SlotKeep, SlotUse
from aish.wire.part import SlotPart
from aish.wire.reply import SlotKept
part = SlotPart(sha256="0" * 64, bytes=1, tokens=1, digest="d", context_tokens=1, build="b")
if len(sys.argv) == 2:
    subprocess.run([sys.executable, "-c", sys.argv[1], sys.argv[1], "tool"], check=True)
with connect(start=False, program="test") as client:
    for request in (SlotKeep(target="p99"), SlotUse(slot=part, target="p99")):
        try:
            print(client.request(request))
        except Exception as error:
            print(type(error).__name__, error)
"""


@pytest.mark.usefixtures("home")
def test_what_its_model_has_read_is_its_host_s_alone(up: Supervised) -> None:
    """A tool that said which file is put into a slot would give the model's server what it has made itself."""
    started = up.spawn(sys.executable, "-c", SLOTS, SLOTS)
    assert up.code(started.id) == 0, up.log(started.id)
    lines = up.log(started.id)[0].splitlines()
    tool, own = lines[:2], lines[2:]
    assert [line.partition(" ")[0] for line in tool] == ["RefusedError"] * 2
    assert "knows of no chat of it" in own[0]
    assert own[1] == "NotFoundError the file of its KV slot is gone, or is not whole", "by its own folder, not p99's"
    for request in (SlotKeep(target=started.id), SlotUse(slot=PART, target=started.id)):
        with pytest.raises(RefusedError):
            up.client.request(request)


PART = SlotPart(sha256="0" * 64, bytes=1, tokens=1, digest="d", context_tokens=1, build="b")
