"""Scripts in files: read as far as they run, and not read again where their tree is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.lang.conftest import ROOT, Result

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lang.conftest import Aish

_BOOT = f"""import sys, os
sys.path.insert(0, {str(ROOT)!r})
from aish.lang import text
if "CODEC" in os.environ:
    text.ENCODING = os.environ["CODEC"]
from aish.lang import kept_trees
from aish.shell import main
kept_trees._SETTLED_S = -60.0  # also a script that was just written
try:
    status = main(sys.argv[1:])
finally:
    if "aish.lang.parser" in sys.modules:
        open("parsed", "w").close()
os._exit(status)
"""
PADDING = "# what makes it long enough to be worth keeping\n" * 12


def run(aish: Aish, *argv: str) -> tuple[Result, bool]:
    """What a shell did with these arguments, and whether it came to read anything."""
    mark = aish.folder / "parsed"
    mark.unlink(missing_ok=True)
    shell = [sys.executable, "-I", "-S", "-c", _BOOT, *argv]
    done = subprocess.run(
        shell, capture_output=True, cwd=aish.folder, env=aish.environment, stdin=subprocess.DEVNULL, timeout=30
    )
    return Result(done), mark.exists()


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("f() { local x=$1; echo $((x + 1)); }\nfor i in 1 2; do f $i; done\n", False),
        ("cat <<X\n$0 $#\nX\necho $LINENO; caller; echo end", False),
        (
            "declare -A a=([k]=v); [[ ${a[k]} == v ]] && echo ${a[@]@Q}\nfor ((i = 0; i < 2; i++)); do echo $i; done",
            False,
        ),
        ("shopt -s extglob\ncase aa in +(a)) echo all;; esac\nset -o posix; echo ~/x\n", False),
        ("exit 3\nthis is never ) read\n", False),
        ("set -v\necho a\necho b # c\n\n", False),
        ("echo `echo a \\`echo b\\`` $(echo c | cat)\n# the end\n\n", False),
        ("printf '%s\\n' 'caf\u00e9' $'\\xe9' | od -c\necho ${#x}\n", False),
        ("shopt -s expand_aliases\nalias hi='echo hello'\nhi\nunalias hi\n", True),
        ("trap 'echo bye $?' EXIT\nfalse\necho $?; (exit 4)\n", True),
        ("f() { declare -f f; echo $BASH_LINENO $FUNCNAME; }\nf\n", True),
        (". ./other; echo $x\n", True),
    ],
)
def test_a_kept_script_does_what_it_did_and_is_not_read_again(text: str, reads: bool, aish: Aish) -> None:
    (aish.folder / "other").write_text("x=other\n")
    (aish.folder / "s").write_text(PADDING + text)
    first, parsed = run(aish, "s", "1")
    assert parsed
    again, parsed = run(aish, "s", "1")
    assert (again.out, again.err, again.status) == (first.out, first.err, first.status)
    assert parsed == reads


def test_a_script_that_ends_in_exec_is_kept(aish: Aish) -> None:
    """Such wrappers are started more than any other script, and nobody comes back to write anything down."""
    (aish.folder / "s").write_text(PADDING + 'x=a\nexec echo "$x" b\n\n')
    assert run(aish, "s")[0].out == "a b\n"
    (kept,) = (aish.folder / ".cache" / "aish" / "trees").iterdir()
    before = kept.stat().st_mtime_ns
    assert run(aish, "s")[0].out == "a b\n"
    assert kept.stat().st_mtime_ns == before  # else it was read, and written, again


@pytest.mark.parametrize(("mask", "mode"), [("0000", "666"), ("0777", "0")])
def test_the_folder_is_nobody_elses_whatever_a_script_does_to_umask(mask: str, mode: str, aish: Aish) -> None:
    """Fault: the first script said `umask 0`, and ~/.cache was anybody's to write; or 777, and nobody's."""
    (aish.folder / "s").write_text(PADDING + f"umask {mask}; umask; : >made; stat -c %a made\numask\n")
    assert run(aish, "s")[0].out == f"{mask}\n{mode}\n{mask}\n"
    for folder in (".cache", ".cache/aish", ".cache/aish/trees"):
        assert (aish.folder / folder).stat().st_mode & 0o777 == 0o700
    assert len(list((aish.folder / ".cache" / "aish" / "trees").iterdir())) == 1


def test_a_limit_on_the_size_of_files_is_for_the_script(aish: Aish) -> None:
    """Fault: writing the tree was the shell's end by SIGXFSZ, before its last command."""
    (aish.folder / "s").write_text(PADDING + "trap 'echo xfsz' XFSZ; ulimit -f 0\necho last\n")
    found = run(aish, "s")[0]
    assert (found.out, found.err, found.status) == ("last\n", "", 0)


def test_an_error_is_told_each_time_where_it_is_reached(aish: Aish) -> None:
    (aish.folder / "s").write_text(PADDING + "echo before\nif )\n")
    first, again = run(aish, "s")[0], run(aish, "s")[0]
    assert first.out == again.out == "before\n"
    assert first.err == again.err
    assert f"s:{PADDING.count(chr(10)) + 2}:4" in first.err
    assert first.status == again.status == 2


def test_all_errors_are_told_where_nothing_is_run(aish: Aish) -> None:
    (aish.folder / "s").write_text(PADDING + "echo before\nif )\necho between\n; done\n")
    first, again = run(aish, "-n", "s")[0], run(aish, "-n", "s")[0]
    assert first.err == again.err
    assert len([line for line in first.err.splitlines() if line.startswith("s:")]) == 2


def test_what_a_script_adds_to_itself_is_run(aish: Aish) -> None:
    """As in other shells; also when its tree is kept, which knows where the text ended."""
    (aish.folder / "s").write_text(PADDING + 'echo one\n[ $1 = no ] || echo "echo two" >> s\n')
    assert run(aish, "s", "no")[0].out == "one\n"
    assert run(aish, "s", "yes")[0].out == "one\ntwo\n"
    assert run(aish, "s", "no")[0].out == "one\ntwo\n"


def test_a_script_in_several_blocks_is_kept(aish: Aish) -> None:
    text = "".join(f"x{i}={'a' * 90}\n" for i in range(2000))
    (aish.folder / "s").write_text(text + 'echo "${#x1999}" $LINENO\n')
    assert run(aish, "s")[0].out == "90 2001\n"
    found, parsed = run(aish, "s")
    assert (found.out, parsed) == ("90 2001\n", False)


def test_what_a_script_changes_behind_itself_is_run_as_it_is_then(aish: Aish) -> None:
    """In a block that was not read yet, of a tree that is kept."""
    padding = "# padding that fills a block of a script\n" * 2000
    text = f"[ $1 = no ] || sh ./change\n{padding}echo old\n"
    (aish.folder / "s").write_text(text)
    (aish.folder / "change").write_text(f"printf new | dd of=s bs=1 seek={len(text) - 4} conv=notrunc 2>/dev/null\n")
    assert run(aish, "s", "no")[0].out == "old\n"
    assert run(aish, "s", "no")[0].out == "old\n"
    assert run(aish, "s", "yes")[0].out == "new\n"


def test_a_tail_of_comments_that_a_script_changes_is_read(aish: Aish) -> None:
    """Fault: where the text ended was forgotten between two looks at it."""
    padding = "# padding that fills a block of a script\n" * 2000
    text = f"[ $1 = no ] || sh ./change\n{padding}# echo old\n"
    (aish.folder / "s").write_text(text)
    seek = len(text) - len("# echo old\n")
    (aish.folder / "change").write_text(f"printf '  echo new' | dd of=s bs=1 seek={seek} conv=notrunc 2>/dev/null\n")
    assert run(aish, "s", "no")[0].out == ""
    assert run(aish, "s", "no")[0].out == ""
    found = run(aish, "s", "yes")[0]
    assert (found.out, found.err, found.status) == ("new\n", "", 0)


def test_bytes_are_what_they_are_in_the_encoding_of_the_shell(aish: Aish, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: a tree that was kept under UTF-8 gave other bytes, and a cut-off text, under an 8-bit locale."""
    text = b"x=\xc3\xa9\xc3\xa9; printf $x | od -An -tx1\necho \xc3\xa9 end\n"
    (aish.folder / "s").write_bytes(PADDING.encode() + text)
    first = run(aish, "s")[0].out
    for encoding in ("latin-1", "utf-8"):
        monkeypatch.setitem(aish.environment, "CODEC", encoding)
        assert run(aish, "s")[0].out == first, encoding


def test_more_of_a_script_is_run_than_the_last_time(aish: Aish) -> None:
    (aish.folder / "s").write_text(PADDING + "echo a\n[ $1 = no ] && exit 1\necho b\n")
    assert run(aish, "s", "no")[0].out == "a\n"
    assert run(aish, "s", "yes")[0].out == "a\nb\n"
    found, parsed = run(aish, "s", "yes")
    assert (found.out, parsed) == ("a\nb\n", False)


def test_a_short_script_is_not_kept(aish: Aish) -> None:
    (aish.folder / "s").write_text("echo a\n")
    run(aish, "s")
    assert not (aish.folder / ".cache").exists()


@pytest.mark.parametrize("home", ["", "relative", "/nowhere", "absent", None])
def test_without_a_home_nothing_is_kept(home: str | None, aish: Aish) -> None:
    del aish.environment["HOME"]
    if home is not None:
        aish.environment["HOME"] = str(aish.folder / home) if home == "absent" else home
    (aish.folder / "s").write_text(PADDING + "echo a\n")
    before = sorted(aish.folder.iterdir())
    assert run(aish, "s")[0].out == "a\n"
    assert sorted(path for path in aish.folder.iterdir() if path.name != "parsed") == before
    assert not os.path.exists("/nowhere")


@pytest.mark.parametrize("cache", [None, "/somewhere", "relative"])
def test_the_folder_is_that_of_the_user(cache: str | None, tmp_path: Path) -> None:
    """The shell finds it without aish.config, for which a lean start has no time."""
    code = "import sys, os; sys.path.insert(0, sys.argv[1]); from aish.config import folders\n"
    code += "from aish.shell.host import ShellHost; print(ShellHost().tree_folder() == folders.cache() + '/trees')"
    environment = {"HOME": str(tmp_path)} | ({} if cache is None else {"XDG_CACHE_HOME": cache})
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT)], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"
