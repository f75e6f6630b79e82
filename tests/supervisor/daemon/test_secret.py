"""Secrets by reference: fetched at each start, in the child's environment and nowhere else."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from aish.client import connect, launch
from aish.errors import InputError, RefusedError
from aish.model.spec import MOST_SECRETS
from aish.supervisor.daemon import secret, want
from aish.supervisor.daemon.authority import Caller
from aish.wire.message import Restart, Stop
from aish.wire.reply import Done
from aish.wire.spec import ProbePart, RestartPart, SecretPart, SpecPart

if TYPE_CHECKING:
    from conftest import Supervised

DEADLINE_S = 60.0
VALUE = "hunter2-swordfish"
DIGEST = hashlib.sha256(VALUE.encode()).hexdigest()
SHOW = f"import hashlib, os; print(hashlib.sha256(os.environb[b'TOKEN']).hexdigest() == {DIGEST!r}, flush=True)"


def file_of(folder: Path, text: str = VALUE + "\n", mode: int = 0o600) -> SecretPart:
    path = folder / "token"
    path.write_text(text)
    path.chmod(mode)
    return SecretPart(file=os.fsencode(path))


def sh(line: str) -> SecretPart:
    return SecretPart(command=[b"sh", b"-c", line.encode()])


def found_in(root: Path) -> list[Path]:
    """Files below `root` that hold the value, and what a client is told of it."""
    files = [path for path in root.rglob("*") if stat.S_ISREG(path.lstat().st_mode)]
    return [path for path in files if VALUE.encode() in path.read_bytes()]


@pytest.mark.usefixtures("home")
def test_a_child_gets_its_secrets_and_nobody_else(up: Supervised, tmp_path: Path) -> None:
    sources = {"TOKEN": file_of(tmp_path), "OTHER": sh(f"printf {VALUE[:7]}-; printf {VALUE[8:]}; echo gone >&2")}
    code = SHOW + "\nassert os.environ['OTHER'] == os.environ['TOKEN']\nimport time; time.sleep(100)"
    up.python(code, secret_sources=sources, name="job")
    up.until("it has them", lambda: up.log("job") == ("True\n", "gone\n"))
    up.client.ask(Done, Restart(target="job"))
    up.until("the next run has them too", lambda: up.log("job")[0] == "True\nTrue\n")
    up.kill_daemon()
    up.next_daemon()
    up.client.ask(Done, Stop(target="job"))
    up.wait("job")
    shown = up.inspect("job")
    assert shown.spec.secret_sources["TOKEN"] == sources["TOKEN"]
    assert VALUE not in repr(shown)
    assert VALUE not in repr(up.events())
    assert found_in(up.home.root) == [], "no file of ours may ever hold it"


def test_hooks_and_probes_do_not_get_it(up: Supervised, tmp_path: Path) -> None:
    line = [b"sh", b"-c", b'test -z "$TOKEN" || exit 7']
    probe = ProbePart(command=line, every_s=0.05)
    started = up.spawn("sleep", "100", secret_sources={"TOKEN": file_of(tmp_path)}, before=line, ready=probe)
    up.wait(started.id, until="ready")


def test_a_changed_secret_is_there_at_the_next_start(up: Supervised, tmp_path: Path) -> None:
    source = file_of(tmp_path, "one")
    up.python("import os; print(os.environ['TOKEN'])", secret_sources={"TOKEN": source}, name="job")
    up.wait("job")
    file_of(tmp_path, "two\r\n")
    up.client.ask(Done, Restart(target="job", launch=launch.capture()))
    up.until("both runs are in its log", lambda: up.log("job")[0] == "one\ntwo\n")


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        (VALUE, 0o640, "others may read or write it (mode 0640): chmod 600 it"),
        (VALUE, 0o602, "others may read or write it"),
        ("\n", 0o600, "it is empty"),
        ("", 0o600, "it is empty"),
        (f"{VALUE}\0x", 0o600, "it holds a NUL byte"),
        (VALUE * 5000, 0o600, "it is longer than 64 KiB"),
    ],
)  # fmt: skip
def test_files_that_are_refused(tmp_path: Path, text: str, mode: int, why: str) -> None:
    source = file_of(tmp_path, text, mode)
    with pytest.raises(secret.SecretError) as error:
        secret.value_of(secret.read_file(source.file or b""))
    assert why in str(error.value)
    assert VALUE not in str(error.value)


def test_what_is_no_file_is_refused_and_a_link_is_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    os.symlink(tmp_path / "token", tmp_path / "link")
    for name, why in (("fifo", "not a regular file"), ("link", "No such file"), (".", "Is a directory")):
        with pytest.raises(secret.SecretError, match=why):
            secret.read_file(os.fsencode(tmp_path / name))
    file_of(tmp_path)
    assert secret.value_of(secret.read_file(os.fsencode(tmp_path / "link"))) == VALUE.encode()
    file_of(tmp_path, mode=0o644)
    with pytest.raises(secret.SecretError, match="mode 0644"):
        secret.read_file(os.fsencode(tmp_path / "link"))


def test_whose_file_it_is(tmp_path: Path) -> None:
    fields = list((tmp_path).lstat())
    fields[0] = stat.S_IFREG | 0o600
    for owner, uid, fit in ((0, 1000, True), (1000, 1000, True), (1001, 1000, False), (1001, 0, False)):
        fields[4] = owner
        assert (secret.unfit(os.stat_result(fields), uid) is None) == fit


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"echo {VALUE}; exit 3", "it ended with 3"),
        ("true", "it is empty"),
        (f"while echo {VALUE}; do :; done; exit 5", "it is longer than 64 KiB"),  # the kernel refuses the rest
        (f"head -c 70000 /dev/zero | tr '\\0' x; echo {VALUE} >&2", "it is longer than 64 KiB"),
        (f"echo {VALUE}; sleep 100", "did not end within 0.5 s"),
    ],
)  # fmt: skip
def test_a_command_that_yields_none_is_a_failed_start(up: Supervised, line: str, why: str) -> None:
    started = up.spawn("true", secret_sources={"TOKEN": sh(line)}, hook_timeout_s=0.5, name="job")
    assert started.state == "failed"
    assert started.reason is not None
    assert started.reason.startswith("its secret TOKEN cannot be had from command:")
    assert why in started.reason
    end = up.wait("job").exit
    assert end is not None
    assert (end.code, end.reason) == (None, "secret")


def test_the_restart_policy_decides_about_a_start_that_failed(up: Supervised, tmp_path: Path) -> None:
    """A secret store that does not answer for a moment ended a service for good."""
    path = tmp_path / "token"
    sources = {"TOKEN": SecretPart(file=os.fsencode(path))}
    fast = RestartPart(delay_s=0.05, longest_s=0.05, most=None)
    up.spawn("sleep", "100", secret_sources=sources, restart="on-failure", restarts=fast, name="job")
    up.until("it was tried again", lambda: up.row("job").restarts > 2)
    file_of(tmp_path)
    up.until("it runs", lambda: up.row("job").lifecycle == "running")
    loop = RestartPart(delay_s=0.01, most=2)
    lost = {"TOKEN": SecretPart(file=b"/nowhere/at/all")}
    started = up.spawn("sleep", "100", secret_sources=lost, restart="always", restarts=loop)
    end = up.wait(started.id).exit
    assert end is not None
    assert end.reason == "crash-loop"
    assert "No such file or directory" in (up.row(started.id).reason or "")


@pytest.mark.usefixtures("home")
def test_a_stop_while_it_is_fetched_and_a_daemon_that_dies_then(up: Supervised, tmp_path: Path) -> None:
    mark, gate = tmp_path / "mark", tmp_path / "gate"
    line = f"echo x >> {mark}; while ! test -e {gate}; do sleep 0.02; done; echo {VALUE}"
    with connect() as other:
        other.send(_spawn(up, {"TOKEN": sh(line)}, "first"))
        up.until("it is fetched", lambda: mark.exists() and mark.read_text() == "x\n")
        up.client.ask(Done, Stop(target="first"))
    end = up.wait("first").exit
    assert end is not None
    assert end.reason == "cancelled"
    with connect() as other:
        other.send(_spawn(up, {"TOKEN": sh(line)}, "second"))
        up.until("it is fetched", lambda: mark.read_text() == "x\nx\n")
        up.kill_daemon()
    up.next_daemon()
    up.until("it is fetched again", lambda: mark.read_text() == "x\nx\nx\n")
    gate.touch()
    up.until("it has it", lambda: up.log("second")[0] == "True\n")


def test_a_stop_does_not_wait_for_a_file_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network's file system: the stop waited for hook_timeout_s, and the daemon's end for the thread."""
    release = threading.Event()
    monkeypatch.setattr(secret, "read_file", lambda path: release.wait(DEADLINE_S) and b"late")
    spec = SpecPart(argv=[b"true"], cwd=b"/", secret_sources={"TOKEN": SecretPart(file=b"/far/away")})
    process = SimpleNamespace(id="p1", row=SimpleNamespace(spec=spec))
    given_up: list[str] = []
    errands = SimpleNamespace(give_up=lambda process, what: given_up.append(what))

    async def stop_it() -> None:
        fetching = secret.Secrets(cast("Any", errands))
        task = asyncio.ensure_future(fetching.fetch(cast("Any", process)))
        await asyncio.sleep(0)
        fetching.give_up(cast("Any", process))
        with pytest.raises(secret.SecretError, match=r"TOKEN cannot be had from .*: it was stopped meanwhile"):
            await asyncio.wait_for(task, DEADLINE_S / 2)
        fetching.give_up(cast("Any", process))  # nothing is fetched any more

    asyncio.run(stop_it())
    release.set()
    assert given_up == [secret.ERRAND]


def _spawn(up: Supervised, sources: dict[str, SecretPart], name: str) -> Any:
    words = [os.fsencode(word) for word in (sys.executable, "-I", "-S", "-c", SHOW)]
    return up.request(*words, secret_sources=sources, name=name)


def test_a_provider_key_that_is_fetched_replaces_its_own(up: Supervised, tmp_path: Path) -> None:
    code = "import os; print(os.environ['OPENAI_API_KEY'] == 'sk-real', 'OPENAI_BASE_URL' in os.environ)"
    environ = {**os.environ, "OPENAI_API_KEY": "sk-of-the-shell"}
    up.python(code, secret_sources={"OPENAI_API_KEY": file_of(tmp_path, "sk-real")}, environ=environ, name="job")
    up.wait("job")
    assert up.log("job")[0] == "True False\n"


BACKEND = f"""
import keyring.backend
class Keyring(keyring.backend.KeyringBackend):
    priority = 1
    def get_password(self, service, username):
        return "{VALUE}" if (service, username) == ("https://db.example", "me") else None
    def set_password(self, service, username, password): ...
    def delete_password(self, service, username): ...
"""


@pytest.mark.usefixtures("home")
def test_a_keyring(up: Supervised, tmp_path: Path) -> None:
    pytest.importorskip("keyring", reason="the extra keyring is not installed")
    (tmp_path / "fake_backend.py").write_text(BACKEND)
    (up.home.root / "keyring.py").write_text("raise SystemExit('a file of its folder was run')")
    environ = {
        **os.environ,
        "PYTHONPATH": str(tmp_path),
        "PYTHON_KEYRING_BACKEND": "fake_backend.Keyring",
    }
    good = {"TOKEN": SecretPart(keyring="https://db.example/me")}
    up.python(SHOW, secret_sources=good, environ=environ, name="job")
    up.wait("job")
    assert up.log("job")[0] == "True\n", up.row("job").reason
    bad = up.spawn("true", secret_sources={"TOKEN": SecretPart(keyring="db/you")}, environ=environ)
    assert "from keyring:db/you: it ended with 1" in (bad.reason or "")


@pytest.mark.parametrize(
    "sources",
    [
        {"1X": SecretPart(file=b"/x")},
        {"A=B": SecretPart(file=b"/x")},
        {"AISH_ID": SecretPart(file=b"/x")},
        {"TOKEN": SecretPart()},
        {"TOKEN": SecretPart(file=b"/x", keyring="a/b")},
        {"TOKEN": SecretPart(file=b"relative")},
        {"TOKEN": SecretPart(file=b"/a\0b")},
        {"TOKEN": SecretPart(command=[b""])},
        {"TOKEN": SecretPart(keyring="nouser")},
        {"TOKEN": SecretPart(keyring="-d/x")},
        {"BOTH": SecretPart(file=b"/x")},
        {f"N{number}": SecretPart(file=b"/x") for number in range(MOST_SECRETS + 1)},
    ],
)
def test_bad_sources(sources: dict[str, SecretPart]) -> None:
    with pytest.raises(InputError) as error:
        want.check_spec(SpecPart(argv=[b"true"], secrets=["BOTH"], secret_sources=sources))
    assert (error.value.field or "").startswith("secret_sources")


def test_a_supervised_process_may_not_have_secrets_fetched() -> None:
    """The daemon reads with the user's rights, whatever keeps the caller from the file."""
    spec = SpecPart(argv=[b"true"], secret_sources={"TOKEN": SecretPart(file=b"/x")})
    with pytest.raises(RefusedError, match="only the user"):
        want.check_rights(Caller("process", "p1"), None, spec)


def test_the_daemon_leaves_no_core(up: Supervised) -> None:
    limits = Path(f"/proc/{up.daemon_pid}/limits").read_text()
    assert next(line for line in limits.splitlines() if "core" in line).split()[4] == "0"
