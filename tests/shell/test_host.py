"""Supervised stages, verbs and tensor edges: what the shell does around them. The host is the test's own."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lang.conftest import Aish, Result

    Hosted = Callable[..., Result]

UPPER = """
def upper(words):
    for line in sys.stdin:
        print(line.rstrip().upper(), *words, flush=True)
def fail(words):
    return int(words[0])
stages["@upper"], stages["@fail"] = upper, fail
"""


@pytest.mark.parametrize(
    ("script", "out"),
    [
        ("echo hi | @upper x 'y z'", "HI x y z\n"),
        ("echo hi | @upper | tr A-Z a-z", "hi\n"),
        ("@fail 3; echo $?", "3\n"),
        ("@fail 0 && echo yes", "yes\n"),
        ("true | @fail 3 | true; echo ${PIPESTATUS[@]}", "0 3 0\n"),
        ("set -o pipefail; @fail 4 | cat; echo $?", "4\n"),
        ("x=$(echo sub | @upper); echo $x", "SUB\n"),
        ("echo file > in; @upper < in > out; cat out", "FILE\n"),
        ("@fail 5 & wait $!; echo $?", "5\n"),
        ("if echo a | @upper >/dev/null; then echo ok; fi", "ok\n"),
        ("{ echo a; echo b; } | @upper | { read x; echo $x; }", "A\n"),
        ("f() { @upper in-f; }; echo q | f", "Q in-f\n"),
        ("(echo s | @upper; echo after)", "S\nafter\n"),
        ("set -e; @fail 2; echo no", ""),
        ("! @fail 1; echo $?", "0\n"),
        ("n=@upper; echo v | $n", "V\n"),
        ("exec @fail 6; echo no", ""),
        ("echo plain | command @upper", "PLAIN\n"),
    ],
)
def test_stage_is_an_ordinary_command(script: str, out: str, hosted: Hosted) -> None:
    found = hosted(UPPER, script)
    assert (found.out, found.err) == (out, "")


def test_stage_runs_in_a_process_of_its_own(hosted: Hosted) -> None:
    """$! is the stub, a child of the shell."""
    code = "stages['@pid'] = lambda words: print(os.getpid(), os.getppid(), flush=True)"
    out = hosted(code, "@pid & wait; echo $! $$").out.split()
    assert out[0] == out[2]
    assert out[1] == out[3]


def test_stage_sees_the_exported_variables(hosted: Hosted) -> None:
    code = "stages['@env'] = lambda words: print(os.environ.get('A'), os.environ.get('B'), flush=True)"
    assert hosted(code, "export A=1; B=2; @env; B=3 @env").out == "1 None\n1 3\n"


def test_stage_has_default_signals(hosted: Hosted) -> None:
    """The stub brings handlers of its own; a handler of ours would eat its signals."""
    code = (
        "import _signal\n"
        "stages['@sig'] = lambda words: print(*[_signal.getsignal(n) == _signal.SIG_DFL for n in (2, 13, 15, 20)],"
        " flush=True)\n"
    )
    assert hosted(code, "trap 'echo' TERM INT; @sig; @sig | cat").out == "True True True True\n" * 2


def test_broken_pipe_reaches_a_stage(hosted: Hosted) -> None:
    """cat f | @a | head -1: the stage dies of SIGPIPE as a program would, and PIPESTATUS tells it."""
    code = """
def many(words):
    while True:
        os.write(1, b"line\\n")
stages["@many"] = many
"""
    found = hosted(code, "@many | head -1; echo ${PIPESTATUS[@]}")
    assert found.out == f"line\n{128 + signal.SIGPIPE} 0\n"


def test_failure_in_a_stage_stays_in_its_process(hosted: Hosted) -> None:
    found = hosted("def bad(words): raise RuntimeError('oops')\nstages['@bad'] = bad", "@bad; echo $?; echo on")
    assert found.out == "70\non\n"
    assert "a fault in aish: RuntimeError: oops" in found.err
    assert "Traceback" not in found.err


# ------------------------------------------------------------------------------------------- edges

EDGES = """
def show(words):
    seen = []
    for name in ("IN", "OUT"):
        value = os.environ.get("AISH_TENSOR_" + name)
        if value is None:
            continue
        fds = [int(word) for word in value.split(":")[1:]]  # version:descriptor[:descriptor]
        assert fds, value
        for fd in fds:
            os.fstat(fd)
            assert fd > 2 and os.get_inheritable(fd), (fd, value)
        seen.append(name)
    links = [os.readlink("/proc/self/fd/" + fd) for fd in os.listdir("/proc/self/fd") if fd.isdecimal() and
             os.path.lexists("/proc/self/fd/" + fd)]
    sockets = sum(link.startswith("socket:") for link in links)
    os.write(2, f"{words[0]} {' '.join(seen)} sockets={sockets}\\n".encode())
stages["@show"] = show
"""


def test_edge_gives_each_stage_its_own_side(hosted: Hosted) -> None:
    found = hosted(EDGES, "@show a |= @show b |= @show c")
    assert sorted(found.err.split("\n")[:3]) == ["a OUT sockets=1", "b IN OUT sockets=2", "c IN sockets=1"]
    assert found.status == 0


def test_edge_beside_a_byte_pipe(hosted: Hosted) -> None:
    found = hosted(EDGES, "echo x | @show a |= @show b | cat; @show d")
    assert sorted(line for line in found.err.split("\n") if line) == [
        "a OUT sockets=1", "b IN sockets=1", "d  sockets=0",
    ]  # fmt: skip


def test_edge_reaches_programs_by_number(aish: Aish) -> None:
    """Programs inherit the descriptors that the variable names, and no others; stdout and stdin stay bytes."""
    script = """
    show() { sh -c 'echo $0 ${AISH_TENSOR_IN:+in} ${AISH_TENSOR_OUT:+out} $(ls /proc/self/fd | wc -w)' $1 >&2; }
    show a |= show b
    show none
    """
    found = aish(script)
    lines = dict(line.split(" ", 1) for line in found.err.strip().split("\n"))
    assert lines["a"].startswith("out ")
    assert lines["b"].startswith("in ")
    assert int(lines["a"].split()[1]) > int(lines["none"].split()[-1])


def test_edge_ends_with_its_writer(aish: Aish) -> None:
    """No end stays open in the shell or in the other stage: the reader must see that the writer is gone."""
    read = (
        "import os, socket\n"
        "fd = int(os.environ['AISH_TENSOR_IN'].split(':')[1])\n"
        "s = socket.socket(fileno=fd); s.settimeout(10); print(s.recv(10))"
    )
    (aish.folder / "read.py").write_text(read)
    found = aish("true |= { python3 read.py; }", timeout=60)
    assert (found.out, found.err) == ("b''\n", "")


def test_edge_in_posix_mode_is_no_edge(aish: Aish) -> None:
    assert "=: command not found" in aish("set -o posix\ntrue |= true").err


# ------------------------------------------------------------------------------------------- verbs


def test_verb_runs_in_the_shell_s_process(hosted: Hosted) -> None:
    code = "verbs['pid'] = lambda words: print(os.getpid(), flush=True)"
    assert hosted(code, "aish pid a b; echo $$").out.split("\n")[0] == "verb pid a b"
    out = hosted(code, "aish pid > f; cat f; echo $$").out.split()
    assert out[-1] == out[-2]


def test_verb_with_redirections_and_pipes(hosted: Hosted) -> None:
    code = "verbs['ls'] = lambda words: print('x'); verbs['no'] = lambda words: 3"
    assert hosted(code, "aish ls > f; wc -l < f; aish no; echo $?; aish ls | tail -1").out.split() == [
        "2", "verb", "no", "3", "x",
    ]  # fmt: skip


def test_verb_sees_the_shell_s_variables(hosted: Hosted) -> None:
    code = "verbs['env'] = lambda words: print(os.environ.get('A'), os.environ.get('LOCAL'))"
    assert (
        hosted(code, "export A=1; LOCAL=2; aish env; unset A; aish env").out
        == "verb env\n1 None\nverb env\nNone None\n"
    )


def test_interrupt_of_a_verb_ends_the_script(hosted: Hosted) -> None:
    """Ctrl-C at `aish wait` went on with the next line, as it does after no program that dies of it."""
    code = """
import _signal
def slow(words):
    os.kill(os.getpid(), _signal.SIGINT)
    for _ in range(1000000): pass
verbs['slow'] = slow
"""
    done = hosted(code, "trap 'echo gone $?' EXIT; aish slow; echo after")
    assert (done.out, done.status) == ("verb slow\ngone 130\n", -signal.SIGINT)
    assert hosted(code, "trap '' INT; aish slow; echo after").out == "verb slow\nafter\n"


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "TERM"])
def test_a_trapped_signal_ends_a_verb_and_its_trap_is_next(hosted: Hosted, name: str) -> None:
    """`aish wait` in a script that is stopped: the trap that cleans up waited for its end, and was killed before."""
    code = f"""
import _signal, time
def wait(words):
    os.kill(os.getpid(), _signal.SIG{name})
    time.sleep(20)
verbs['wait'] = wait
"""
    number = getattr(signal, f"SIG{name}")
    script = f"trap 'echo trapped $?' {name}; aish wait; echo after $?"
    assert hosted(code, script, timeout=60).out == f"verb wait\ntrapped {128 + number}\nafter {128 + number}\n"
    script = f"set -e; trap ': not yet; echo gone' EXIT; trap 'exit 9' {name}; aish wait; echo after"
    done = hosted(code, script, timeout=60)
    assert (done.out, done.status) == ("verb wait\ngone\n", 9)


def test_the_exit_trap_of_a_script_that_is_ended_within_a_verb(hosted: Hosted) -> None:
    code = (
        "import _signal, time\nverbs['wait'] = lambda words: (os.kill(os.getpid(), _signal.SIGTERM), time.sleep(20))"
    )
    done = hosted(code, "trap 'echo gone' EXIT; aish wait; echo after", timeout=60)
    assert (done.out, done.err, done.status) == ("verb wait\ngone\n", "", -15)


def test_without_a_verb_it_is_another_shell(hosted: Hosted) -> None:
    found = hosted("verbs['ps'] = lambda words: 0", "aish -c 'echo inner $0' x; aish ps; echo $?")
    assert found.out == "inner x\nverb ps\n0\n"


VERBS = """
def told(name, status=0):
    def run(words):
        print(name, *words)
        return status
    return run
verbs.update({"kill": told("kill"), "ps": told("ps"), "cont": told("cont")})
verbs["wait"] = lambda words: 124 if "--timeout" in words else told("wait", 7)(words)
"""


@pytest.mark.parametrize(
    ("script", "out"),
    [
        ("kill @a; kill -9 @a @b", "kill -s 15 @a|kill -s 9 @a|kill -s 9 @b"),
        ("kill -s HUP %x @a 2>/dev/null; echo $?", "kill -s 1 @a|0"),
        ("wait @a; echo $?", "wait @a|7"),
        ("sleep 0 & wait $! @a; echo $?", "wait @a|7"),
        ("kill -0 @a && echo alive", "alive"),
        ("jobs @a; jobs -p @a", "ps @a|ps --quiet @a"),
        ("bg @a", "cont @a"),
        ("(kill @a) | cat", "kill -s 15 @a"),
    ],
)
def test_job_control_takes_supervised_names(script: str, out: str, hosted: Hosted) -> None:
    """'a process id or %job expected': they are no children of the shell, but their names are meant everywhere."""
    found = hosted(VERBS, script)
    told = [line for line in found.out.splitlines() if not line.startswith("verb ")]
    assert "|".join(told) == out, found.err


def test_fg_attaches_where_there_is_such_a_verb(hosted: Hosted) -> None:
    assert "attach @a" in hosted('verbs["attach"] = lambda words: None', "fg @a").out
    found = hosted(VERBS, "fg @a; echo $?")
    assert found.out == "1\n"
    assert "aish logs -f @a" in found.err


def test_job_control_without_a_supervisor(aish: Aish) -> None:
    """The plain shell: a name is neither a pid nor a job."""
    found = aish("kill @a; echo $?; wait @a; echo $?; jobs @a; echo $?")
    assert found.out.splitlines() == ["1", "127", "127"]
    assert found.err.count("no supervisor in this shell") == 3
