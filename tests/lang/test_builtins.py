"""Built-ins, where the comparison with bash does not reach: our words, options of our own, loading."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from aish.lang import builtins
from tests.lang.conftest import ROOT

if TYPE_CHECKING:
    from tests.lang.conftest import Aish


@pytest.mark.parametrize("topic", sorted(set(builtins.TOPIC_OF.values())))
def test_each_topic_has_the_built_ins_that_the_table_promises(topic: str) -> None:
    table = importlib.import_module(f"aish.lang.builtins.{topic}").TABLE
    promised = {name for name, where in builtins.TOPIC_OF.items() if where == topic}
    assert set(table) == promised
    for name, function in table.items():
        assert (function.__doc__ or "").strip(), f"{name} has no text"


def test_special_ones_are_built_ins() -> None:
    assert set(builtins.TOPIC_OF) >= builtins.SPECIAL


def test_type_tells_what_a_word_is(aish: Aish) -> None:
    (aish.folder / "tool").write_text("#!/bin/sh\n")
    (aish.folder / "tool").chmod(0o755)
    found = aish("PATH=$PWD; f() { echo  $1; }; type if cd : f tool @x nosuch; type -t if cd f tool @x")
    assert found.out == (
        "if is a shell keyword\ncd is a shell builtin\n: is a shell builtin\n"
        f"f is a function\nf () \n{{ \n    echo $1\n}}\ntool is {aish.folder}/tool\n"
        "@x is a supervised process, agent or model\n"
        "keyword\nbuiltin\nfunction\nfile\nsupervised\n"
    )
    assert "nosuch: not found" in found.err


def test_command_skips_functions(aish: Aish) -> None:
    assert aish("cd() { echo no; }; command cd /; command pwd; command -v cd @m").out == "/\ncd\n@m\n"


def test_command_p_uses_the_standard_path(aish: Aish) -> None:
    assert aish("PATH=/nosuch; command -p ls -d /").out == "/\n"


def test_getopts_complains_under_the_script_s_name(aish: Aish) -> None:
    (aish.folder / "s").write_text('while getopts "a:" o; do echo "$o"; done\n')
    found = aish.run(["s", "-x", "-a"])
    assert found.out == "?\n?\n"
    assert "s: -x: unknown option" in found.err
    assert "s: -a: an argument is missing" in found.err


def test_read_gives_up_at_its_time(aish: Aish) -> None:
    os.mkfifo(aish.folder / "fifo")
    assert aish("exec 3<>fifo; read -t 0.1 -u 3 x; echo $?", timeout=60).out == "142\n"


@pytest.mark.parametrize("seconds", ["99999999999", "1e300"])
def test_read_may_wait_longer_than_select_can(aish: Aish, seconds: str) -> None:
    """It was 'a fault in aish': OverflowError."""
    assert aish(f"echo x | {{ read -t {seconds} y; echo $y; }}").out == "x\n"


@pytest.mark.parametrize("seconds", ["inf", "nan", "soon"])
def test_read_refuses_a_time_that_is_none(aish: Aish, seconds: str) -> None:
    found = aish(f"echo x | {{ read -t {seconds} y; echo $? $y; }}")
    assert (found.out, f"{seconds}: seconds expected" in found.err) == ("1\n", True)


def test_read_counts_characters_not_bytes(aish: Aish) -> None:
    assert aish("printf 'äöü' | { read -n 2 x; echo $x; }").out == "äö\n"


def test_read_takes_no_byte_too_many_from_a_pipe(aish: Aish) -> None:
    assert aish("printf '1\\n2\\n3\\n' | { read a; sh -c 'read b; echo $b'; cat; }").out == "2\n3\n"


def test_read_from_a_file_in_turns_with_a_program(aish: Aish) -> None:
    """A block is read, and what was not wanted is given back by seeking."""
    (aish.folder / "f").write_text("".join(f"line {n}\n" for n in range(2000)))
    script = '{ read a; read b; head -c 7 >/dev/null; read c; echo "$a|$b|$c"; } < f'
    assert aish(script).out == "line 0|line 1|line 3\n"


def test_kill_lists_and_sends(aish: Aish) -> None:
    found = aish("kill -l 2; kill -l HUP; sleep 60 & kill -s TERM $!; wait $!; echo $?; kill -0 $$ && echo alive")
    assert found.out == "INT\n1\n143\nalive\n"


def test_umask_is_the_process_s(aish: Aish) -> None:
    aish("umask 077; : > a; umask u=rwx,g=rx,o=; : > b")
    assert [oct((aish.folder / name).stat().st_mode & 0o777) for name in "ab"] == ["0o600", "0o640"]


def test_hash_remembers_and_forgets(aish: Aish) -> None:
    found = aish("hash; ls / >/dev/null; hash | cut -f1; PATH=$PATH; hash; hash -r; hash nosuch; echo $?")
    assert found.out == "hash: hash table empty\nhits\n   1\nhash: hash table empty\n1\n"


def test_remembered_program_that_moved_is_found_after_hash_r(aish: Aish) -> None:
    """On a terminal it was looked for once more in vain, elsewhere it was found the second time."""
    script = """
    mkdir a b; PATH=$PWD/a:$PWD/b:$PATH
    printf '#!/bin/sh\\necho a\\n' > a/t; printf '#!/bin/sh\\necho b\\n' > b/t; chmod +x a/t b/t
    t; rm a/t; t; t; echo $?; hash -r; t
    """
    found = aish(script)
    assert found.out.split() == ["a", "127", "b"]
    assert "a/t has gone; `hash -r` looks for it anew" in found.err


def test_local_outside_a_function(aish: Aish) -> None:
    assert "no function is running" in aish("local x=1").err


def test_set_lists_what_reads_back(aish: Aish) -> None:
    out = aish("x=\"a 'b' \\$c\"; y=$(printf '1\\n2'); set | grep -A1 -E '^(x|y)='").out
    assert aish(out + 'echo "$x|$y"').out == "a 'b' $c|1\n2\n"


def test_exec_with_a_name(aish: Aish) -> None:
    assert aish("exec -a other sh -c 'echo $0'").out == "other\n"


def test_jobs_of_a_script(aish: Aish) -> None:
    found = aish('sleep 60 & jobs; jobs -p > p; [ "$(cat p)" = $! ] && echo same; kill %1; wait %1; echo $?; jobs')
    assert found.out == "[1]+  Running                 sleep 60 &\nsame\n143\n"


def test_aish_behind_aish_is_another_shell(aish: Aish) -> None:
    """What is no verb is a script or -c, in a shell of its own."""
    (aish.folder / "s").write_text("echo inner $1 $x; x=2\n")
    assert aish("x=1; aish s arg; aish -c 'echo $0 $x' name; echo $x; type aish").out == (
        "inner arg\nname\n1\naish is a shell builtin\n"
    )


def test_nothing_is_walked_in_a_loop(aish: Aish, tmp_path: object) -> None:
    """The tree is compiled once: a loop of many rounds creates no node and parses nothing."""
    script = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); case $i in 7) x=${i%7}y;; esac; f() { :; }; f; done; echo $i"
    counting = (
        "import sys; sys.path.insert(0, {root!r})\n"
        "from aish.lang import tree, lexer, host, runtime, evaluate, source\n"
        "made = []\n"
        "for cls in [c for c in vars(tree).values() if isinstance(c, type)] + [lexer.Token]:\n"
        "    def counted(self, *a, _old=cls.__init__, **k):\n"
        "        made.append(1); _old(self, *a, **k)\n"
        "    cls.__init__ = counted\n"
        "rt = runtime.Runtime(host.NoHost(), {{'PATH': '/bin:/usr/bin'}}); rt.signals.start()\n"
        "evaluate.run_source(rt, source.Source('-', {script!r}))\n"
        "print(len(made))\n"
    )
    counts = []
    for rounds in ("300", "900"):
        code = counting.format(root=str(ROOT), script=script.replace("300", rounds))
        done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.split()
        assert lines[0] == rounds
        counts.append(lines[1])
    assert counts[0] == counts[1]
