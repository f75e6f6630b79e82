"""The image of a lean start: used while it is true, replaced once it is not, and never a reason not to start."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pexpect
import pytest

from .conftest import Installed, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return environment(tmp_path_factory.mktemp("fresh") / "env", wheel)


@pytest.fixture
def kept(fresh: Installed) -> Iterator[Installed]:
    """An installation whose image is true, and whose files are afterwards as before."""
    fresh.out("-c", "true")
    before = fresh.place.parent / "before"
    shutil.copytree(fresh.packages / "aish", before)
    yield fresh
    shutil.rmtree(fresh.packages / "aish")
    before.rename(fresh.packages / "aish")


def is_lean(installed: Installed) -> bool:
    return "site" not in installed.modules("-c", "true")


def test_first_start_makes_it(fresh: Installed) -> None:
    fresh.image.unlink(missing_ok=True)
    assert not is_lean(fresh)
    assert fresh.image.is_file()
    assert fresh.image.stat().st_mode & 0o777 == 0o644
    assert is_lean(fresh)


def test_every_module_loads_without_what_only_readers_want() -> None:
    """Faults: an annotation that stayed is looked up where nothing of its name is; what stands in the place of an
    import gives something else."""
    code = """from importlib import import_module
from aish import image
names = {*image._imported(image._FIRST), *image._submodules()}
assert len(names) > 100
for name in sorted(names):
    own = {"__name__": name, "__file__": image._source(name), "__loaded__": import_module}
    exec(image._bare_code(name, image._packages(sorted(names))), own)
    module = import_module(name)
    for key, value in ({} if hasattr(module, "__path__") else vars(module)).items():
        if isinstance(value, (type, type(import_module))) and value.__module__ in names - {name}:  # it was imported
            assert own.get(key) is value, (name, key)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_prompt_starts_from_it(kept: Installed) -> None:
    """What only the prompt needs is loaded from the image, too."""
    assert is_lean(kept)
    child = pexpect.spawn(str(kept.program), env=kept.environ, encoding="utf-8", timeout=60, dimensions=(30, 120))
    try:
        child.sendline("echo mark$((40 + 2))")
        child.expect("mark42")
        child.sendline("exit 7")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)
    assert child.exitstatus == 7


@pytest.mark.parametrize(
    ("file", "old", "new", "script", "shows"),
    [
        (
            "shell/program.py",
            '_COERCED = ("C.UTF-8"',
            'VERSION = "changed"\n_COERCED = ("C.UTF-8"',
            "echo $AISH_VERSION",
            "changed",
        ),
        (
            "lang/builtins/test.py",
            '"-n": lambda rt, text: text != ""',
            '"-n": lambda rt, text: False',
            "[ -n a ] || echo no",
            "no",
        ),
    ],
)
def test_changed_module_is_noticed(file: str, old: str, new: str, script: str, shows: str, kept: Installed) -> None:
    """One of those that every start needs, and one of those that a script may need."""
    path = kept.packages / "aish" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert kept.out("-c", script) == f"{shows}\n"
    assert kept.out("-c", script) == f"{shows}\n"
    assert is_lean(kept)
    assert "ast" not in kept.modules("-c", script)  # made anew by now: another start does without


def test_ctrl_c_while_it_is_made(kept: Installed) -> None:
    """That takes seconds, and ended in a traceback of the launcher's."""
    path = kept.packages / "aish" / "image.py"
    path.write_text(path.read_text() + "\nos.write(1, b'made now')\nos.read(0, 1)\n")
    kept.image.unlink()
    words = [str(kept.program), "-c", "echo ran"]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(words, env=kept.environ, **pipes) as running:
        assert running.stdout is not None
        assert running.stdout.read(8) == b"made now"
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (-signal.SIGINT, b"")


def test_a_copy_of_the_installation_runs_its_own_files(kept: Installed, tmp_path: Path) -> None:
    """The image that was copied along is true to files that are still there: those of the other installation."""
    shutil.copytree(kept.place, tmp_path / "env", symlinks=True)
    copy = Installed(tmp_path / "env")
    path = copy.packages / "aish" / "shell" / "program.py"
    path.write_text(path.read_text().replace('_COERCED = ("C.UTF-8"', 'VERSION = "copied"\n_COERCED = ("C.UTF-8"'))
    assert copy.out("-c", "echo $AISH_VERSION") == "copied\n"
    assert is_lean(copy)


def test_deleted_or_replaced_while_a_shell_runs(kept: Installed) -> None:
    """Fault: the running shell reads a module where the old image had it, or dies of the file that is not there."""
    script = '{}; [[ a == a ]] && echo $((1 + 1)); a=b; echo "${{a^}}"; case a in [a-c]) echo d ;; esac; kill -l 9'
    for change in ('rm "$IMAGE"', 'cp "$IMAGE" "$IMAGE.new"; echo >>"$IMAGE.new"; mv "$IMAGE.new" "$IMAGE"'):
        kept.image.unlink(missing_ok=True)  # the last test may have left one that is not true of all that this needs
        kept.out("-c", "true")
        done = kept.run(kept.program, "-c", script.format(change), env=kept.environ | {"IMAGE": str(kept.image)})
        assert (done.stdout, done.stderr) == ("2\nB\nd\nKILL\n", "")


def test_a_shell_has_enough_of_half_of_os(kept: Installed) -> None:
    """Fault: a look at os.environ at each start loads the other half."""
    script = kept.home / "script"
    script.write_text('f() { case $1 in *.gz) x=${1%.*} ;; esac; }\nf a.gz; [ "$x" = a ] && echo $((1 + 1)) >&2\n')
    for words in (("-c", "true"), (str(script),)):
        names = kept.modules(*words)
        assert "aish.shell" in names
        assert names & {"aish.lang.tree_bash", "aish.lang.arrays"} == set()
        assert names & {"_collections_abc", "typing", "re"} == set()


@pytest.mark.parametrize("rest", [b"", b"\x05", b"aish 2\r\n" + bytes(20), b"aish 3\r\n" + b"\xff" * 100, None])
def test_damaged_one_is_replaced(rest: bytes | None, kept: Installed) -> None:
    whole = kept.image.read_bytes()
    kept.image.write_bytes(whole[: len(whole) // 3] if rest is None else rest)
    assert kept.out("-c", "echo a") == "a\n"
    assert is_lean(kept)


def test_one_that_lost_its_end_is_replaced(kept: Installed) -> None:
    """Fault: what is always needed was there, and the first command that needed more was a fault in aish."""
    os.truncate(kept.image, kept.image.stat().st_size - 1)
    assert kept.out("-c", "[[ b == b ]] && echo $((1 + 1))") == "2\n"
    assert is_lean(kept)


def test_one_whose_end_is_not_what_was_written(kept: Installed) -> None:
    size = kept.image.stat().st_size
    with kept.image.open("r+b") as file:
        file.seek(size // 3)
        file.write(b"\xff" * (size - size // 3))
    script = "[[ b == b ]] && echo $((1 + 1)); declare -A m=([a]=b); trap 'echo ${m[a]}' EXIT"
    assert kept.out("-c", script) == "2\nb\n"
    kept.out("-c", "true")
    assert "ast" not in kept.modules("-c", script)  # it was made anew


def test_a_shell_from_before_a_change_leaves_the_new_one_alone(kept: Installed) -> None:
    """Fault: what it has not loaded yet has changed, so it deletes the image that the next start has made."""
    path = kept.packages / "aish" / "lang" / "conditions.py"
    script = 'echo begun; read x; [[ a == a ]] && echo "$x"'
    with subprocess.Popen(
        [str(kept.program), "-c", script], env=kept.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as old:
        assert old.stdout is not None
        assert old.stdout.readline() == "begun\n"
        path.write_text(path.read_text() + "\n")
        kept.image.unlink()
        kept.out("-c", "true")
        made = kept.image.stat().st_ino
        out, _ = old.communicate("word\n", timeout=60)
    assert out == "word\n"
    assert kept.image.stat().st_ino == made


@pytest.mark.parametrize("gone", [False, True])
def test_a_shell_is_of_one_release_for_life(gone: bool, kept: Installed) -> None:
    """Fault: what a running shell had not loaded yet came from the release that was installed meanwhile, and wanted
    of its other modules what these had not."""
    script = 'echo begun; read x; /bin/echo "$x" | cat; [[ a == a ]] && a=b && echo "${a^}"; exit 3'
    folder = kept.packages / "aish"
    with subprocess.Popen(
        [str(kept.program), "-c", script], env=kept.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as old:
        assert old.stdout is not None
        assert old.stdout.readline() == "begun\n"
        for name in ("lang/process.py", "lang/conditions.py", "lang/builtins/flow.py"):
            path = folder / name
            path.write_text(path.read_text() + "\nfrom aish.lang.control import BrandNew\n")
        (folder / "lang/control.py").write_text((folder / "lang/control.py").read_text() + "\nclass BrandNew: ...\n")
        if gone:
            folder.rename(kept.place / "gone")
        else:
            done = kept.run(kept.program, "-c", script.replace("read x", "x=new"))  # which makes an image
            assert (done.stdout, done.returncode) == ("begun\nnew\nB\n", 3)
        out, _ = old.communicate("word\n", timeout=60)
        if gone:
            (kept.place / "gone").rename(folder)
    assert (out, old.returncode) == ("word\nB\n", 3)


@pytest.mark.parametrize("change", ["exec 127>&-", "exec 127</dev/null", "{ :; } 127>/dev/null", "ulimit -n 20"])
def test_a_script_has_use_for_every_number(change: str, kept: Installed) -> None:
    """The image stays open under one, which is not the shell's alone."""
    script = f"{change}; [[ a == a ]] && a=b && echo ${{a^}}; (a=c; echo ${{a@Q}}); echo $((1 + 1)) | cat"
    assert kept.out("-c", script) == "B\n'c'\n2\n"
    assert is_lean(kept)
    place = kept.home / "place"
    inner = f"exec 127>{place}; {kept.program} -c 'echo mine >&127; [[ a == a ]] && echo too >&127'"
    assert kept.out("-c", inner) == ""
    assert place.read_text() == "mine\ntoo\n"


def test_short_of_descriptors_is_no_reason_to_delete_it(kept: Installed) -> None:
    made = kept.image.stat().st_ino
    kept.run(kept.program, "-c", "exec 127>&-; ulimit -n 3; [[ a == a ]]; history -s a", env=kept.environ)
    assert kept.image.stat().st_ino == made
    assert kept.out("-c", "ulimit -n 3; [[ a == a ]] && echo $((1 + 1)); history -s a; echo $?") == "2\n0\n"


def test_no_place_for_it(kept: Installed) -> None:
    folder = kept.image.parent
    shutil.rmtree(folder)
    folder.write_text("")
    try:
        assert kept.out("-c", "echo a; [[ b == b ]] && echo $((1 + 1))") == "a\n2\n"
    finally:
        folder.unlink()


def test_half_of_os_becomes_all_of_it(kept: Installed) -> None:
    """A lean start has what is cheap of `os`; whoever asks for more has the whole of the same module."""
    path = kept.packages / "aish" / "cli" / "__init__.py"
    look = (
        "import os; half = 'environ' not in vars(os); from os import PathLike, environ; import subprocess, os.path; "
        "print(half, environ is os.environ, os.getenv('HOME') == environ['HOME'], hasattr(os, 'no'), os.__name__, "
        "sorted(set(dir(os)) ^ set(eval(subprocess.run([sys.executable, '-c', 'import os; print(dir(os))'], "
        "capture_output=True).stdout))))"
    )
    path.write_text(path.read_text().replace("    status = main(sys.argv[1:])\n", f"    {look}\n    status = 0\n"))
    kept.run(kept.program)
    assert kept.out() == "True True True False os []\n"


def test_errors_show_their_source(kept: Installed) -> None:
    """Fault: code out of the image that does not know where it came from."""
    path = kept.packages / "aish" / "cli" / "__init__.py"
    path.write_text(path.read_text().replace("    status = main(sys.argv[1:])\n", "    status = main(1)\n"))
    kept.run(kept.program, "-c", "true")
    done = kept.run(kept.program, "-c", "true")
    assert f'File "{path}", line' in done.stderr
    assert "status = main(1)" in done.stderr


def test_what_nobody_runs_is_not_in_it(kept: Installed) -> None:
    """Documentation and annotations would be read and made at each start; what `help` shows is neither."""
    assert kept.out("-c", "help -d eval").startswith("eval - Run")
    assert b"Raises CommandError for an option that does not exist" not in kept.image.read_bytes()
