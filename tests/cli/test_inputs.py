"""What a process is given, as people ask for it: secrets, sockets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Home


def test_a_secret_is_named_by_where_it_is(home: Home) -> None:
    path = home.root / "token"
    path.write_text("open-sesame\n")
    path.chmod(0o600)
    home.environ["MINE"] = "x"
    words = (
        "--secret",
        "A=file:token",
        "--secret",
        "B=file:~/token",
        "--secret",
        "C=command:cat token",
        "--secret",
        "MINE",
    )
    line = 'test "$A$B" = "$C$A" && echo "${#A} ${#MINE}"'
    done = home.aish("run", "--name", "job", *words, "--", "sh", "-c", line, cwd=home.root)
    assert (done.returncode, done.stdout) == (0, "11 1\n"), done.stderr
    told = home.aish("inspect", "job").stdout
    assert f"MINE, A from file:{path}, B from file:{path}, C from command:cat token" in told
    assert "open-sesame" not in told + json.dumps(json.loads(home.aish("inspect", "--json", "job").stdout))


def test_a_socket_is_named_by_its_address(home: Home) -> None:
    sockets = ("--socket", "unix:s", "--socket", "log=datagram:unix:~/d", "--socket", "x=127.0.0.1:{port}")
    line = "echo $LISTEN_FDS $LISTEN_FDNAMES; test $LISTEN_PID = $$"
    done = home.aish("run", "--name", "job", *sockets, "--", "sh", "-c", line, cwd=home.root)
    assert (done.returncode, done.stdout) == (0, "3 unknown:log:x\n"), done.stderr
    told = home.aish("inspect", "job").stdout
    assert f"unix:{home.root}/s, log unix:{home.root}/d (datagram), x 127.0.0.1:{{port}}" in told


def test_a_value_in_place_of_a_source_is_not_repeated(home: Home) -> None:
    """It is in the shell's history already: no log of ours may have it, too."""
    done = home.aish("spawn", "--secret", "TOKEN=open:sesame", "--", "true")
    assert done.returncode == 2
    assert "sesame" not in done.stderr
