"""Job control as `bash -i` has it: the same keys typed to both shells, compared by what matters.

A scenario gives what it saw: outputs, statuses, who has the terminal, which processes live. Process ids and the
wording of complaints are each shell's own.
"""

from __future__ import annotations

import os
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.shell.two_shells import BASH, END, INTERRUPT, QUIT, STOP, Shell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Scenario = Callable[[Shell], list[object]]

pytestmark = pytest.mark.skipif(BASH is None, reason="bash is the oracle")


def typed(*steps: str | tuple[str, str]) -> Scenario:
    """Lines to run; or (line, key): the key is pressed while `sleep` of the line has the terminal."""

    def scenario(shell: Shell) -> list[object]:
        seen: list[object] = []
        for step in steps:
            if isinstance(step, str):
                seen.append(shell.run(step))
            else:
                shell.start(step[0])
                shell.type(step[1])
                seen.append(shell.prompt().removeprefix(step[0]))
            seen.append(shell.has_terminal())
        return seen

    return scenario


def untold(*steps: str | tuple[str, str]) -> Scenario:
    """The same, without the news of jobs that ended: `wait` tells them in bash or not, by which of both is faster."""
    scenario = typed(*steps)

    def quiet(shell: Shell) -> list[object]:
        ended = re.compile(r"^\[\d+\].  (?:Done|Terminated|Exit).*\n", re.M)
        return [ended.sub("", item) if isinstance(item, str) else item for item in scenario(shell)]

    return quiet


def _background_reader(shell: Shell) -> list[object]:
    shell.run("cat &")
    shell.until_job(1, "Stopped")
    shell.start("fg", "cat")
    shell.type("hello\n")
    shell.see("hello")
    shell.type(END)
    return [shell.prompt().count("hello") > 0, shell.status(), shell.jobs()]


def _background_pipeline(shell: Shell) -> list[object]:
    """Its reader was stopped before the stages behind it were there to be stopped with it, and they ran on."""
    shell.run("cat | sleep 1000 | sleep 1000 | sleep 1000 | sleep 1000 | sleep 1000 &")
    shell.until_job(1, "Stopped")
    shell.run("kill -9 %1")
    return [shell.has_terminal()]


def _background_writer(shell: Shell) -> list[object]:
    """With tostop it stops, without it writes."""
    shell.run("stty tostop; sh -c 'echo out' &")
    shell.until_job(1, "Stopped")
    return [shell.run("stty -tostop; fg"), shell.status(), shell.jobs()]


def _modes(shell: Shell) -> list[object]:
    """A program that turned echo off and was stopped leaves no dead terminal behind."""
    echo = r"stty -a | grep -o -- '-\?echo\b'"
    shell.type("sh -c 'stty -echo; kill -STOP $$; stty echo'\n")
    shell.prompt()
    seen: list[object] = [shell.run(echo)]
    shell.run("fg")
    return [*seen, shell.run(echo), shell.run("stty intr ^X; (exit 3); stty -a | grep -o 'intr = ..'")]


def _stopped_and_exit(shell: Shell) -> list[object]:
    shell.start("sleep 1000")
    shell.type(STOP)
    shell.prompt()
    seen: list[object] = ["There are stopped jobs" in shell.run("exit"), shell.jobs()]
    seen.append(shell.run("echo other"))
    seen.append("There are stopped jobs" in shell.run("exit"))
    shell.type("exit 4\n")
    return [*seen, shell.end()]


def _stopped_and_end_of_file(shell: Shell) -> list[object]:
    shell.start("sleep 1000")
    shell.type(STOP)
    shell.prompt()
    shell.type(END)
    seen: list[object] = ["There are stopped jobs" in shell.prompt()]
    shell.type(END)
    return [*seen, shell.end()]


def _ignoreeof(shell: Shell) -> list[object]:
    shell.run("set -o ignoreeof")
    shell.type(END)
    seen: list[object] = ['Use "exit"' in shell.prompt()]
    shell.run("set +o ignoreeof")
    shell.type(END)
    return [*seen, shell.end()]


def _exec(shell: Shell) -> list[object]:
    shell.run("exec nosuchprogram")
    seen: list[object] = [shell.status()]
    shell.run("exec /etc/passwd")
    seen.append(shell.status())
    shell.type("exec sh -c 'exit 7'\n")
    return [*seen, shell.end()]


def _hangup_trap(shell: Shell) -> list[object]:
    shell.run("trap 'echo bye > bye' EXIT")
    shell.type("kill -HUP $$\n")
    return [shell.end(), (shell.folder / "bye").exists()]


def _jobs_hear_of_the_hangup(shell: Shell) -> list[object]:
    marks = "trap 'echo > hupped; exit' HUP; echo > ready; while :; do sleep 0.05; done"
    shell.run(f'sh -c "{marks}" &')
    shell.until((shell.folder / "ready").exists, "it never began")
    os.kill(shell.child.pid, signal.SIGHUP)
    shell.until((shell.folder / "hupped").exists, "the job heard nothing")
    return [shell.end()]


def _jobs_outlive_exit(shell: Shell) -> list[object]:
    shell.run("sh -c 'echo > ready; exec sleep 1000 </dev/null >/dev/null 2>&1' &")  # it holds no terminal open
    shell.until((shell.folder / "ready").exists, "it never began")
    pid = int(re.findall(r"\d+", shell.run("echo $!"))[-1])
    shell.type("exit\n")
    status = shell.end()
    os.kill(pid, signal.SIGKILL)  # it is there
    return [status]


def _interrupt_trap_at_the_prompt(shell: Shell) -> list[object]:
    shell.run("trap 'echo GOT' INT")
    shell.type("abc" + INTERRUPT)
    shell.see("GOT")
    shell.prompt()
    return [shell.status()]


def _trap_while_wait(shell: Shell) -> list[object]:
    shell.run("trap 'echo GOT' USR1; sleep 1000 &")
    shell.type("echo be''gin; wait; echo status=$?\n")
    shell.see("begin\r\n")
    _when_idle(shell)
    os.kill(shell.child.pid, signal.SIGUSR1)
    out = shell.prompt()
    shell.run("kill -9 %1")
    return [out]


def _trap_while_read(shell: Shell) -> list[object]:
    """The action runs at once, and `read` goes on."""
    shell.run("trap 'echo GOT' USR1")
    shell.type("echo be''gin; read x; echo status=$? x=$x\n")
    shell.see("begin\r\n")
    _when_idle(shell)
    os.kill(shell.child.pid, signal.SIGUSR1)
    shell.see("GOT")
    shell.type("line\n")
    return ["status=0 x=line" in shell.prompt()]


def _key_while(command: str, key: str, *, answer: str = "") -> Scenario:
    """The shell itself waits, and not a program."""

    def scenario(shell: Shell) -> list[object]:
        shell.run("sleep 1000 &")
        shell.type(f"echo be''gin; {command}; echo a''fter=$?\n")
        shell.see("begin\r\n")
        _when_idle(shell)
        shell.type(key)
        if answer:
            shell.see("^")
            shell.type(answer)
        out = shell.prompt()
        seen = ["after=0" in out, "after" in out, shell.status(), shell.jobs()]
        shell.run("kill -9 %1; wait %1 2> /dev/null")
        return seen

    return scenario


def _when_idle(shell: Shell) -> None:
    """Wait until the shell sleeps in a system call."""
    stat = f"/proc/{shell.child.pid}/stat"

    def asleep() -> bool:
        with open(stat) as file:
            return file.read().rpartition(") ")[2][0] == "S"

    shell.until(asleep, "is always busy")
    time.sleep(0.02)
    shell.until(asleep, "is always busy")


def _told_at_once(shell: Shell) -> list[object]:
    """set -b"""
    shell.run("mkfifo f; set -b; cat f > /dev/null &")
    fd = os.open(shell.folder / "f", os.O_WRONLY)
    os.close(fd)
    shell.see("Done")
    shell.type("\n")
    shell.prompt()
    return [shell.jobs()]


def _told_at_the_next_prompt(shell: Shell) -> list[object]:
    shell.run("mkfifo f; cat f > /dev/null &")
    os.close(os.open(shell.folder / "f", os.O_WRONLY))
    shell.until(lambda: not shell.states("cat"), "cat never ended")
    out = shell.run("")
    return ["Done" in out, shell.jobs()]


def _typed_ahead(shell: Shell) -> list[object]:
    """What is typed while a command runs belongs to it, or to the shell afterwards: nothing is lost."""
    shell.start("sleep 0.3")
    shell.type("echo o''ne\necho tw''o\n")
    shell.see("one\r\n")
    shell.see("two\r\n")
    shell.prompt()
    shell.start("sed -n 's/^/got /p;q'", "sed")
    shell.type("line\necho ne''xt\n")
    shell.see("got line\r\n")
    shell.see("next\r\n")
    shell.prompt()
    return [shell.status()]


def _window(shell: Shell) -> list[object]:
    seen: list[object] = [shell.run("echo $COLUMNS $LINES")]
    shell.child.setwinsize(41, 91)
    shell.until(lambda: "91 41" in shell.run("/bin/true; echo $COLUMNS $LINES"), "COLUMNS stays as it was")
    return seen


def _output_while_editing(shell: Shell) -> list[object]:
    shell.run("mkfifo f; cat f &")
    shell.type("echo par")
    with open(shell.folder / "f", "w") as file:
        file.write("noise")
    shell.see("noise")
    shell.type("tial\n")
    shell.see("partial")
    shell.prompt()
    return [shell.status()]


def _nested(inner: str) -> Scenario:
    """A shell in the shell: its own jobs, stopped as a whole, brought back, its status."""

    def scenario(shell: Shell) -> list[object]:
        seen: list[object] = [shell.run(inner) and None]
        shell.start("sleep 1000")
        shell.type(STOP)
        shell.prompt()
        seen += [shell.status(), shell.jobs()]
        shell.run("kill -STOP $$")
        seen += [shell.has_terminal(), shell.status()]
        shell.run("fg")
        seen += [shell.has_terminal(), shell.jobs()]
        shell.run("kill -9 %1; wait %1 2> /dev/null")
        shell.run("wait 2> /dev/null")
        shell.until(lambda: not shell.jobs(), "the inner job stays")
        shell.run("exit 5")
        return [*seen, shell.status(), shell.has_terminal(), shell.jobs()]

    return scenario


def _busy(shell: Shell) -> list[object]:
    """What posix_spawn had made was stopped before it was the program, and who waited for it could not be: nobody
    heard of the stop, and no key reached anything any more."""
    (shell.folder / "busy.sh").write_text("echo begins; while :; do /bin/true; done\n")
    for line in ["$S busy.sh", "(. ./busy.sh)", ". ./busy.sh | cat"] * 4:
        shell.type(f"{line}\n")
        shell.see("begins")
        shell.type(STOP)
        shell.prompt()
        shell.run("kill -9 %%; wait %%")
    return [shell.has_terminal()]


def _orphans(shell: Shell) -> list[object]:
    """Stopped jobs of a shell that ends are hung up, not left stopped for ever."""
    shell.start("sleep 1000")
    shell.type(STOP)
    shell.prompt()
    pid = int(re.findall(r"\d+", shell.run("jobs -p"))[-1])
    shell.run(":")
    shell.type("exit\n")
    shell.prompt()
    shell.type("exit\n")
    shell.end()

    def gone() -> bool:
        try:
            with open(f"/proc/{pid}/stat") as file:
                return file.read().rpartition(") ")[2][0] == "Z"
        except FileNotFoundError:
            return True

    shell.until(gone, "the stopped job is left behind")
    return []


def _wait_for_what_stops(shell: Shell) -> list[object]:
    """wait comes back when its job is stopped; it waited for ever."""
    seen: list[object] = []
    shell.run("mkfifo f; sh -c 'echo > f; kill -STOP $$' & read x < f")
    shell.until_job(1, "Stopped")
    seen += [shell.run("wait %1 2> /dev/null") and None, shell.status()]
    seen += [shell.run("wait 2> /dev/null") and None, shell.status()]
    shell.run("kill -CONT %1; wait %1")
    seen.append(shell.status())
    shell.start("sh -c 'kill -STOP $$; exec sleep 1000' & wait %%; kill -CONT %%; fg")
    shell.type(INTERRUPT)
    shell.prompt()
    return [*seen, shell.status(), shell.jobs()]


def _ignoreeof_by_number(shell: Shell) -> list[object]:
    shell.run("IGNOREEOF=1")
    shell.type(END)
    seen: list[object] = ['Use "exit"' in shell.prompt()]
    shell.run("echo another")
    shell.type(END)
    seen.append('Use "exit"' in shell.prompt())
    shell.type(END)
    return [*seen, shell.end()]


def _checkjobs(shell: Shell) -> list[object]:
    shell.run("shopt -s checkjobs; sleep 1000 &")
    seen: list[object] = ["There are running jobs.\n[1]+  Running" in shell.run("exit")]
    shell.run("kill -9 %1; wait %1")
    shell.type("exit\n")
    return [*seen, shell.end()]


def _timed_out(shell: Shell) -> list[object]:
    shell.type("TMOUT=1\n")
    shell.see("timed out waiting for input: auto-logout")
    return [shell.end()]


def _the_terminal_closes(shell: Shell) -> list[object]:
    """A prompt that could not be drawn any more ended the shell with a fault, and its jobs never heard of it."""
    marks = "trap 'echo > hupped; exit' HUP; echo > ready; while :; do sleep 0.05; done"
    shell.run(f'sh -c "{marks}" 2> /dev/null &')
    shell.until((shell.folder / "ready").exists, "it never began")
    shell.start("sh -c 'echo $$ > pid; exec sleep 1000'")
    shell.type(STOP)
    shell.prompt()
    stopped = int((shell.folder / "pid").read_text())
    shell.child.ptyproc.fileobj.close()
    shell.until((shell.folder / "hupped").exists, "the running job heard nothing")
    shell.until(lambda: not _is_there(stopped), "the stopped job is left behind")
    shell.until(lambda: not _is_there(shell.child.pid), "the shell lives on")
    shell.child.wait()
    return [shell.child.exitstatus, shell.child.signalstatus]


def _is_there(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def _keys(shell: Shell) -> list[object]:
    """The same keys edit on every terminal."""
    seen: list[object] = []

    def press(keys: str, out: str) -> None:
        shell.type(keys)
        shell.see(f"<{out}>")
        shell.prompt()
        seen.append(out)

    shell.run('p() { echo "<$*>"; }')
    press("xxx\x01p \x05y\n", "xxxy")
    press("\x10\n", "xxxy")
    press("p foo bar\x17baz\n", "foo baz")
    press("\x12xxx\r", "xxxy")
    shell.run("_f() { COMPREPLY=($(compgen -W 'one two' -- \"$2\")); }; complete -F _f p")
    press("p a on\tb\n", "a one b")
    shell.run('bind \'"\\C-o": "p macro\\n"\'; bind -x \'"\\C-t": READLINE_LINE="p n$READLINE_LINE"\'')
    press("\x0f", "macro")
    press("ew\x14\n", "new")
    shell.run("begin=ab''c")
    shell.type("read -e -i $begin x; p $x\n")
    shell.see("abc")
    press("\x02\x08X\n", "aXc")
    return seen


def _more_keys(shell: Shell) -> list[object]:
    """Alt-. and Ctrl-O gave nothing, a key that edits was lost in Ctrl-R, the editor was that of Python's EDITOR."""
    seen: list[object] = []

    def press(keys: str, out: str) -> None:
        shell.type(keys)
        shell.see(f"<{out}>")
        shell.prompt()
        seen.append(out)

    shell.run('p() { echo "<$*>"; }')
    press("p one two\n", "one two")
    press("p last \x1b.\n", "last two")
    press("\x12one\x05 x\n", "one two x")
    press("p a b\x1bt\n", "b a")
    press("p '\x16\t'\n", "\t")
    press("p first\n", "first")
    press("p second\n", "second")
    shell.type("\x10\x10\x0f")
    shell.see("<first>")
    press("\n", "second")
    seen.append(shell.run("history -p '!-2:$'"))
    shell.run("export EDITOR='sed -i s/old/new/'")
    press("p old\x18\x05", "new")
    shell.run("shopt -s histverify")
    press("p verified\n", "verified")
    shell.type("!!\n")
    shell.see("verified")
    press("\n", "verified")
    shell.run("shopt -u histverify; bind '\"\\C-o\": \"macro\"'; begin=xy''z")
    shell.type("read -e -i $begin y; p $y\n")
    shell.see("xyz")
    press("\x0f\n", "xyzmacro")
    shell.run("nosuch() { return 3; }; nosuch; !event")
    return [*seen, shell.status()]


def _interrupted_key_of_read(shell: Shell) -> list[object]:
    """The editor of `read -e` kept Ctrl-C for itself while a key ran a command: nothing ended that. With bash it ends
    `read`, too, here it takes a second one."""
    shell.run("bind -x '\"\\C-t\": echo LO\"\"OP; while :; do :; done'; begin=ab''c")
    shell.type("read -e -i $begin x; echo out\n")
    shell.see("abc")
    shell.type("\x14")
    shell.see("LOOP")
    shell.type(INTERRUPT)
    _when_idle(shell)
    shell.type(INTERRUPT)
    shell.type("\necho al''ive\n")
    shell.see("alive")
    return ["alive"]


def _keys_for_read(shell: Shell) -> list[object]:
    """read -n 1 and -d waited for Enter."""
    modes = r"stty -a | grep -o -- '-\?icanon\|-\?echo\b'"
    seen: list[object] = []
    for words, key in (("-n 1", "y"), ("-s -N 2", "\ny"), ("-d :", "ab:"), ("-n 1", INTERRUPT)):
        shell.type(f"echo be''gin; read {words} x; echo \"<$x>\"\n")
        shell.see("begin\r\n")
        _when_idle(shell)
        shell.type(key)
        out = shell.prompt()
        seen += ["<" in out and out[out.index("<") :], shell.run(modes)]
    return seen


def _interrupt_for_the_shell_alone(shell: Shell) -> list[object]:
    """It was lost: a program in a group of its own never hears of it."""
    shell.start("sleep 0.5; echo after")
    os.kill(shell.child.pid, signal.SIGINT)
    return [shell.prompt().removeprefix("sleep 0.5; echo after"), shell.status()]


def _window_trap(shell: Shell) -> list[object]:
    """The editor had the signal for itself; and the sizes were those of before the line was typed."""
    shell.run("trap 'echo WINDOW $COLUMNS' WINCH")
    for rows, columns in ((41, 91), (42, 92)):
        shell.child.setwinsize(rows, columns)
        shell.see(f"WINDOW {columns}")
        shell.type("echo si''ze $COLUMNS $LINES\n")
        shell.see(f"size {columns} {rows}\r\n")
    return []


def _no_echo(shell: Shell) -> list[object]:
    """A terminal that shows nothing of what is typed: neither does the editor."""
    shell.run("stty -echo")
    seen: list[object] = [shell.run("echo silent")]
    shell.run("stty echo")
    return [*seen, shell.run("echo seen")]


def _numbers(shell: Shell) -> list[object]:
    """Enter and comments were commands, too: numbered, and begun with PS0."""
    shell.run("PS0='(begins)'; PS1='\\# PROMPT''> '")
    return [shell.run(text) for text in ("", "# a comment", "  ", ":", "!nosuch 2>/dev/null", ": # a comment")]


def _end_in_a_here_document(shell: Shell) -> list[object]:
    """Ctrl-D in a further line did nothing."""
    shell.type("cat <<A; echo $?\n")
    shell.see("MORE> ")
    shell.type("text\n")
    shell.see("MORE> ")
    shell.type(END)
    return ["text\n0\n" in shell.prompt(), shell.status()]


def _jobs_then_exit(shell: Shell) -> list[object]:
    """Whoever has just looked at them need not be told."""
    shell.start("sleep 1000")
    shell.type(STOP)
    shell.prompt()
    shell.run("jobs")
    shell.type("exit\n")
    return [shell.end()]


def _huponexit(shell: Shell) -> list[object]:
    """Of a login shell."""
    shell.run("exec $S --noprofile -l")
    shell.run("shopt -s huponexit")
    marks = "trap 'echo > hupped; exit' HUP; echo > ready; while :; do sleep 0.05; done"
    shell.run(f'sh -c "{marks}" 2> /dev/null &')
    shell.until((shell.folder / "ready").exists, "it never began")
    shell.type("exit\n")
    status = shell.end()
    shell.until((shell.folder / "hupped").exists, "the job heard nothing")
    return [status]


def _monitor_in_a_script(shell: Shell) -> list[object]:
    (shell.folder / "s.sh").write_text(
        'set -m; sleep 0.1 & [ "$(cut -d" " -f5 /proc/$!/stat)" = $! ] && echo own; wait $!\n'
        'sh -c "exit 3"; echo $?; sleep 0.05 & fg; echo $?; (exit 4) | cat; echo $?\n'
    )
    return [shell.run("$S s.sh"), shell.has_terminal()]


SCENARIOS: dict[str, Scenario] = {
    "stop, jobs, bg, kill": typed(
        ("sleep 1000", STOP), "echo $?", "jobs", "bg", "jobs", "bg", "kill %1; wait %1; echo $?", "jobs",
    ),
    "three jobs": typed(
        ("sleep 1001", STOP), ("sleep 1002", STOP), ("sleep 1003", STOP),
        "jobs", "bg %-", "jobs", "bg %?1001", "jobs",
        "sleep 1004 &", "jobs", "kill %sleep; echo $?", "kill -9 %1; wait %1; echo $?", "jobs",
        "kill -9 %4; wait %4; echo $?", "jobs", "fg %9; echo $?",
    ),
    "fg, Ctrl-Z, fg, Ctrl-C": typed(
        ("sleep 1000", STOP), ("fg", STOP), "echo $?", ("fg %1; echo next", INTERRUPT),
        "echo $?", "jobs", "fg; echo $?",
    ),
    "%1": typed(("sleep 1000", STOP), "%1 &", "jobs", ("%1", INTERRUPT), "jobs"),
    "Ctrl-Z in a list": typed(("sleep 1000; echo after", STOP), "echo $?", "jobs"),
    "Ctrl-Z in an and-or list": typed(("sleep 1000 && echo yes || echo no", STOP), "echo $?", "jobs"),
    "Ctrl-Z in a for": typed(("for i in 1 2; do sleep 1000; done; echo after", STOP), "echo $?", "jobs"),
    "Ctrl-Z in a while": typed(("while :; do sleep 1000; done", STOP), "echo $?", "jobs"),
    "Ctrl-Z in nested loops": typed(
        ("for i in 1 2; do for j in 1 2; do sleep 1000; done; done; echo after", STOP), "jobs",
    ),
    "Ctrl-Z in a function": typed("f() { sleep 1000; echo in; }", ("f; echo after", STOP), "echo $?", "jobs"),
    "Ctrl-Z in eval": typed(("eval 'sleep 1000; echo in'; echo out", STOP), "echo $?", "jobs"),
    "Ctrl-Z in a group": typed(("{ sleep 1000; echo in; }; echo out", STOP), "echo $?", "jobs"),
    "Ctrl-C in a list": typed(("sleep 1000; echo after", INTERRUPT), "echo $?"),
    "Ctrl-C in an and-or list": typed(("sleep 1000 || echo no", INTERRUPT), "echo $?"),
    "Ctrl-C in a for": typed(("for i in 1 2; do sleep 1000; done; echo after", INTERRUPT), "echo $?"),
    "Ctrl-C in a condition": typed(("while sleep 1000; do echo a; done; echo out", INTERRUPT), "echo $?"),
    "Ctrl-C in a function": typed("f() { sleep 1000; echo in; }", ("f; echo after", INTERRUPT), "echo $?"),
    "Ctrl-C in a subshell": typed(("(sleep 1000; echo in); echo out", INTERRUPT), "echo $?"),
    "Ctrl-C in a pipeline": typed(("sleep 1000 | cat; echo out", INTERRUPT), "echo $?"),
    "Ctrl-C in a substitution": typed(('x=$(sleep 1000; echo in); echo "got<$x>"', INTERRUPT), "echo $?"),
    "Ctrl-C with a trap": typed(
        "trap 'echo GOT' INT", ("sleep 1000; echo out", INTERRUPT), "echo $?",
        "trap - INT", ("sleep 1000; echo out", INTERRUPT),
    ),
    "Ctrl-\\ in a list": typed(("sleep 1000; echo after", QUIT), "echo $?"),
    "Ctrl-\\ in a pipeline": typed(("sleep 1000 | cat; echo after", QUIT), "echo $?"),
    "background jobs": untold(
        "true & wait; echo $?", "jobs", "false & wait $!; echo $?", "jobs",
        "sh -c 'exit 3' & wait %1; echo $?",
    ),
    "without job control": untold(
        "set +m", "sleep 0.01 & wait; echo $?", "jobs", "fg; echo $?", "bg; echo $?",
        "set -m", ("sleep 1000", STOP), "jobs",
    ),
    "who has the terminal": typed(
        "sh -c 'exit 3' | sh -c 'exit 4'", "(exit 2)", "nosuchprogram", "sh -c 'kill -9 $$'", "echo $?", "x=$(echo)",
    ),
    "Ctrl-C while read": _key_while("read x", INTERRUPT),
    "Ctrl-C while wait": _key_while("wait", INTERRUPT),
    "Ctrl-Z while read": _key_while("read x", STOP, answer="abc\n"),
    "Ctrl-\\ while read": _key_while("read x", QUIT, answer="abc\n"),
    "kill -CONT": untold(("sleep 0.3; :", STOP), "kill -CONT %1; wait; echo $?", "jobs"),
    "pipeline in the background": untold("sleep 1000 | cat &", "jobs", "kill %%; wait; echo $?", "jobs"),
    "background reader": _background_reader,
    "background writer": _background_writer,
    "modes": _modes,
    "stopped jobs and exit": _stopped_and_exit,
    "stopped jobs and Ctrl-D": _stopped_and_end_of_file,
    "ignoreeof": _ignoreeof,
    "exec": _exec,
    "hang-up and EXIT trap": _hangup_trap,
    "hang-up and jobs": _jobs_hear_of_the_hangup,
    "exit and jobs": _jobs_outlive_exit,
    "orphaned stopped job": _orphans,
    "INT trap at the prompt": _interrupt_trap_at_the_prompt,
    "trap while wait": _trap_while_wait,
    "trap while read": _trap_while_read,
    "set -b": _told_at_once,
    "no set -b": _told_at_the_next_prompt,
    "typed ahead": _typed_ahead,
    "window": _window,
    "output while editing": _output_while_editing,
    "bash inside": _nested("bash --norc --noprofile -i"),
    "aish inside": _nested("$AISH -i"),
    "set -m in a script": _monitor_in_a_script,
    "Ctrl-Z of a busy script": _busy,
    "options saved and restored": typed(
        'x=$(set +o); y=$(echo $-); [ $y = $- ]; echo $?', 'eval "$x"', "set -o | grep -w -e monitor -e history",
        "cat < <([[ -o monitor ]] && echo on)", "(set +m; [[ -o monitor ]]; echo $?)", ("sleep 1000", STOP), "jobs",
    ),
    "background pipeline that reads the terminal": _background_pipeline,
    "wait for what stops": _wait_for_what_stops,
    "IGNOREEOF": _ignoreeof_by_number,
    "checkjobs": _checkjobs,
    "TMOUT": _timed_out,
    "the terminal closes": _the_terminal_closes,
    "keys": _keys,
    "more keys": _more_keys,
    "keys for read": _keys_for_read,
    "Ctrl-C while a key of read runs": _interrupted_key_of_read,
    "SIGINT for the shell alone": _interrupt_for_the_shell_alone,
    "trap for WINCH": _window_trap,
    "no echo": _no_echo,
    "numbers of commands": _numbers,
    "Ctrl-D in a here-document": _end_in_a_here_document,
    "jobs, then exit": _jobs_then_exit,
    "huponexit": _huponexit,
    "ignored by a trap": typed(
        "trap '' TERM QUIT TSTP", "sh -c 'kill -TERM $$; kill -QUIT $$; kill -TSTP $$; echo on'",
        "(trap - TERM; sh -c 'kill -TERM $$; echo on'; :) 2> /dev/null", "trap '' CHLD; sh -c 'exit 3'; echo $?",
        "trap - TERM; { sh -c 'kill -TERM $$'; } 2> /dev/null; echo $?",
    ),
    "WINCH ignored by a trap": typed("trap '' WINCH", ":", "grep SigIgn /proc/self/status"),
    "jobs of the shell in a copy": typed(
        "sleep 1000 & sleep 1001 &", '[ "$(jobs -p %?1001)" = $! ]; echo $?', "x=$(jobs %-); echo $x",
        "jobs | cat", "(jobs)", "echo $(kill -9 %+); wait %2; echo $?", "kill -9 %1; wait %1",
    ),
}  # fmt: skip


def comparable(seen: list[object]) -> list[object]:
    """Without process ids, without either shell's complaints, blank lines and how a subshell's text is printed."""
    return [_comparable(item) if isinstance(item, str) else item for item in seen]


def _comparable(text: str) -> list[str]:
    lines = [
        re.sub(r"\b\d{3,}\b(?=$|\s+(Stopped|Running|Done|\|))", "PID", line).rstrip() for line in text.split("\n")
    ]
    lines = [line.replace("^C", "").replace("^Z", "").replace("^\\", "").strip() for line in lines]
    dropped = ("bash:", "aish:", "hint:", "aish: ")
    lines = [line for line in lines if line and not line.startswith(dropped)]
    return [line for line in lines if line not in ("Quit", "Killed", "exit") and not re.fullmatch(r"[\^~ ]+", line)]


@pytest.mark.parametrize("term", [pytest.param("dumb", marks=pytest.mark.slow), "xterm-256color"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_as_bash(name: str, term: str, tmp_path: Path) -> None:
    """With line editing and without it."""
    seen = {}
    for which in ("bash", "aish"):
        shell = Shell(which, tmp_path / which, term=term)
        try:
            seen[which] = comparable(SCENARIOS[name](shell))
        finally:
            shell.kill("sleep")
            shell.close()
    assert seen["aish"] == seen["bash"]
