"""Escapes by files, tried in each tier: each test is a way that worked in a design before this one, or elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import aish
from aish.model.sandbox import BWRAP, LANDLOCK

if TYPE_CHECKING:
    from tests.sandbox.conftest import Box

SECRET = "the secret of this user"
HIDDEN = (".ssh/id_ed25519", ".aws/credentials", ".netrc", "state/aish/secret", "other.txt")


def test_dev_has_a_cache_that_stays_and_only_sandboxes_have(box: Box) -> None:
    """By Landlock there was none, though the profile says so: each run fetched all packages anew."""
    script = 'cd "${XDG_CACHE_HOME:-$HOME/.cache}" && { cat wheel 2>/dev/null || echo fetched > wheel; }'
    first = box.run("sh", "-c", script, profile="dev")
    assert (first.returncode, first.stdout) == (0, ""), first.stderr
    assert box.run("sh", "-c", script, profile="dev").stdout == "fetched\n"
    assert not (box.root / ".cache" / "wheel").exists()
    assert box.run("sh", "-c", script, profile="closed").stdout == ""


@pytest.mark.parametrize("name", HIDDEN)
def test_what_is_in_the_home_is_not_read(box: Box, name: str) -> None:
    assert box.attempt(f"open({str(box.root / name)!r}).read()") in ("ENOENT", "EACCES")


@pytest.mark.parametrize("name", [".ssh/id_ed25519", ".aws/credentials", ".netrc", "state/aish/secret"])
def test_what_is_secret_is_hidden_though_all_of_the_home_is_named(box: Box, name: str) -> None:
    for option in ("read", "write"):
        tried = box.attempt(f"assert not open({str(box.root / name)!r}).read()", **{option: [box.root]})
        assert tried in ("ENOENT", "EACCES")
    kept = box.python(f"print(open({str(box.root / 'other.txt')!r}).read())", read=[box.root])
    assert kept.stdout.strip() == SECRET


def test_what_is_said_to_be_hidden_is_hidden_in_its_own_folder(box: Box) -> None:
    (box.project / ".env").write_text(SECRET)
    (box.project / "private").mkdir()
    (box.project / "private" / "key").write_text(SECRET)
    (box.project / "seen").mkdir()
    hide = [box.project / ".env", box.project / "private"]
    for name in (".env", "private/key"):
        assert box.attempt(f"open({name!r}).read()", hide=hide) in ("ENOENT", "EACCES")
    assert box.attempt("open('seen/new', 'w')", hide=hide) == "OPEN"
    for code in ("os.rename('private', 'moved'); open('moved/key').read()", "os.unlink('.env')"):
        assert box.attempt(code, hide=hide) != "OPEN"
    assert (box.project / ".env").read_text() == SECRET


@pytest.mark.parametrize(
    "code",
    [
        "open(home + '/new', 'w')",
        "open(home + '/other.txt', 'a')",
        "os.truncate(home + '/other.txt', 0)",
        "os.open(home + '/other.txt', os.O_RDONLY | os.O_TRUNC)",
        "os.unlink(home + '/other.txt')",
        "os.rename(home + '/other.txt', 'mine')",
        "os.rename('mine', home + '/other.txt')",
        "os.link(home + '/other.txt', 'mine2'); open('mine2').read()",
        "os.symlink(home, 'way'); open('way/other.txt').read()",
        "os.symlink(home, 'way'); open('way/new', 'w')",
        "os.chdir('..'); open('other.txt').read()",
        "open('/proc/self/root' + home + '/other.txt').read()",
        "open('/proc/1/root' + home + '/other.txt').read()",
        "open('/proc/self/cwd/../other.txt').read()",
        "fd = os.open('.', os.O_RDONLY); os.open('../other.txt', os.O_RDONLY, dir_fd=fd)",
        "os.chmod(home + '/other.txt', 0o777); os.stat(home + '/other.txt').st_mode & 0o777 == 0o777 or 1/0",
        "os.mkfifo(home + '/pipe')",
        "os.mkdir(home + '/folder')",
    ],
)
def test_nothing_outside_is_written_or_reached_by_another_way(box: Box, code: str) -> None:
    (box.project / "mine").write_text("x")
    before = sorted(path.name for path in box.root.iterdir())
    ran = box.python(f"home = {str(box.root)!r}\nattempt({code!r})")
    text = (box.root / "other.txt").read_text()
    assert text == SECRET
    if "chmod" in code and box.tier == LANDLOCK:
        pytest.skip("Landlock has no rules for modes, owners and times: inspect says so")
    assert (box.root / "other.txt").stat().st_mode & 0o777 != 0o777
    assert sorted(path.name for path in box.root.iterdir()) == before
    if "read()" in code or "O_RDONLY" in code:
        assert ran.stdout.strip() != "OPEN"


def test_a_descriptor_of_a_folder_outside_is_not_left_to_the_program(box: Box) -> None:
    code = """
for fd in map(int, os.listdir('/proc/self/fd')):
    if fd > 2:
        try:
            os.open('..', os.O_RDONLY, dir_fd=fd)
        except OSError as error:
            continue
        print('OPEN', fd, os.readlink(f'/proc/self/fd/{fd}'))
"""
    assert box.python(code, write=[box.project]).stdout == ""


def test_system_files_are_read_and_not_written(box: Box) -> None:
    assert box.attempt("open('/etc/passwd').read()") == "OPEN"
    for path in ("/etc/passwd", "/usr/bin/env", "/etc/new", "/usr/new"):
        assert box.attempt(f"open({path!r}, 'a')") in ("EROFS", "EACCES")
    for path in ("/etc/shadow", "/etc/sudoers"):
        if os.path.exists(path):
            assert box.attempt(f"assert not open({path!r}).read()") in ("ENOENT", "EACCES")


def test_control_groups_and_kernel_settings_are_not_written(box: Box) -> None:
    """Root owns them, and needs no capability to write what it owns. They are opened and nothing is written: where
    this fails, the settings are those of the whole machine."""
    names = ["sys/kernel/core_pattern", "sys/vm/drop_caches", "sysrq-trigger", "irq/default_smp_affinity"]
    paths = [*(f"/proc/{name}" for name in names), "/proc/self/uid_map", "/proc/self/oom_score_adj"]
    groups = Path("/sys/fs/cgroup")
    paths += [str(path) for path in (*groups.glob("cgroup.procs"), *groups.glob("*/cgroup.procs"))]
    for path in filter(os.path.exists, paths):
        assert box.attempt(f"os.close(os.open({path!r}, os.O_WRONLY))") in ("EROFS", "EACCES", "ENOENT"), path


def test_temporary_files_are_its_own(box: Box) -> None:
    fd, name = os.open(box.root.parent, os.O_RDONLY), f"aish-strange-{os.getpid()}"
    try:
        strange = os.open(name, os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=fd)
        os.close(strange)
        assert box.attempt(f"open('/tmp/{name}').read()") in ("ENOENT", "EACCES")
        code = "import tempfile; f = tempfile.NamedTemporaryFile(); f.write(b'x'); print(os.path.dirname(f.name))"
        assert box.run(sys.executable, "-c", f"import os\n{code}").returncode == 0
    finally:
        os.unlink(name, dir_fd=fd)
        os.close(fd)


# --- git ------------------------------------------------------------------------------------------------------------


def repository(box: Box) -> Path:
    for words in (["init", "-q"], ["config", "user.name", "x"], ["config", "user.email", "x@example.org"]):
        subprocess.run(["git", *words], cwd=box.project, check=True, env=box.environ())
    return box.project / ".git"


def test_git_works(box: Box) -> None:
    repository(box)
    script = "echo x >file && git add file && git commit -qm first && git status --short && git log --format=%s"
    ran = box.run("sh", "-ec", script)
    assert (ran.returncode, ran.stdout) == (0, "first\n"), ran.stderr


@pytest.mark.parametrize(
    "script",
    [
        "echo evil >.git/hooks/pre-commit",
        "rm -rf .git/hooks && mkdir .git/hooks && echo evil >.git/hooks/pre-commit",
        "mv .git/hooks .git/h && mkdir .git/hooks && echo evil >.git/hooks/pre-commit",
        "git config core.fsmonitor evil",
        "echo evil >.git/config",
        "mv .git old && cp -r old .git && echo evil >.git/config",
        "mkdir -p .git/modules/x/hooks && echo evil >.git/modules/x/hooks/pre-commit",
        "ln -sfn evil .git/hooks",
        "echo evil >.git/commondir",
        "rm .git/commondir; echo evil >.git/commondir",
        "echo evil >.git/config.worktree",
        "mkdir -p .git/aish && echo evil >.git/aish/other.json",
        "echo evil >.git/worktrees/other/commondir",
        "echo evil >.git/worktrees/other/gitdir",
        "echo evil >.git/worktrees/other/config.worktree",
        "mv .git/worktrees/other .git/o && mkdir .git/worktrees/other && echo evil >.git/worktrees/other/commondir",
        "mv .git/worktrees .git/w && mkdir -p .git/worktrees/other && echo evil >.git/worktrees/other/commondir",
    ],
)
def test_what_git_would_run_outside_is_not_changed(box: Box, script: str) -> None:
    if box.tier != BWRAP:
        pytest.skip("Landlock cannot keep a part of what is written to: docs/reference/sandbox.md says so")
    git = repository(box)
    for words in (["commit", "-q", "--allow-empty", "-m", "x"], ["worktree", "add", "-q", "../other"]):
        subprocess.run(["git", *words], cwd=box.project, check=True, env=box.environ())
    before = (git / "config").read_text()
    ran = box.run("sh", "-ec", f"echo began; {script}")
    assert ran.stdout.startswith("began\n"), ran.stderr
    assert ran.returncode != 0
    assert (git / "config").read_text() == before
    assert not [path for path in git.rglob("*") if path.is_file() and path.read_bytes() == b"evil\n"]
    assert not (git / "hooks").is_symlink()


def test_a_repository_elsewhere_is_not_put_in_the_place_of_a_working_trees_own(box: Box) -> None:
    """Its .git is a file there: whoever uses git in that folder outside would run what another one's configuration
    says."""
    if box.tier != BWRAP:
        pytest.skip("Landlock cannot keep a part of what is written to")
    repository(box)
    for words in (["commit", "-q", "--allow-empty", "-m", "x"], ["worktree", "add", "-q", "../other"]):
        subprocess.run(["git", *words], cwd=box.project, check=True, env=box.environ())
    other = box.root / "other"
    before = (other / ".git").read_text()
    for script in ("echo gitdir: evil >.git", "rm .git; mkdir .git", "mv .git old; mkdir .git"):
        ran = box.run("sh", "-ec", f"echo began; {script}", cwd=other)
        assert (ran.stdout, ran.returncode != 0) == ("began\n", True), ran.stderr
    assert (other / ".git").read_text() == before


def test_git_outside_is_as_before_when_a_sandbox_was_there(box: Box) -> None:
    """What is made there, so that nobody else makes it, means nothing."""
    git = repository(box)
    for words in (["commit", "-q", "--allow-empty", "-m", "x"], ["worktree", "add", "-q", "../other"]):
        subprocess.run(["git", *words], cwd=box.project, check=True, env=box.environ())
    words = ["rev-parse", "--path-format=absolute", "--git-dir", "--git-common-dir", "HEAD"]
    for cwd in (box.project, box.root / "other"):
        before = subprocess.run(["git", *words], cwd=cwd, check=True, env=box.environ(), capture_output=True).stdout
        assert box.run("true").returncode == 0
        after = subprocess.run(["git", *words], cwd=cwd, check=True, env=box.environ(), capture_output=True).stdout
        assert after == before
    subprocess.run(["git", "fsck", "--strict"], cwd=box.project, check=True, env=box.environ(), capture_output=True)
    assert not [path for path in git.iterdir() if path.suffix.removeprefix(".").isdecimal()]  # a draft


def test_hooks_that_were_not_there_cannot_be_put_there(box: Box) -> None:
    if box.tier != BWRAP:
        pytest.skip("Landlock cannot keep a part of what is written to")
    git = repository(box)
    subprocess.run(["rm", "-rf", git / "hooks"], check=True)
    ran = box.run("sh", "-ec", "echo began; mkdir -p .git/hooks; echo evil >.git/hooks/pre-commit")
    assert (ran.stdout, ran.returncode != 0) == ("began\n", True), ran.stderr
    assert list((git / "hooks").iterdir()) == []


@pytest.mark.parametrize("place", [".git", ".git/hooks", ".git/config"])
def test_a_link_in_the_place_of_what_git_uses_leads_nowhere(box: Box, place: str) -> None:
    """An earlier run may have put it there: what it leads to must not be given to the next one."""
    git = repository(box)
    path = box.project / place
    subprocess.run(["rm", "-rf", path], check=True)
    path.symlink_to(box.root / ".ssh")
    ran = box.run("sh", "-c", f"cat {box.root}/.ssh/id_ed25519 {place}/id_ed25519; echo x >{place}/new")
    assert SECRET not in ran.stdout
    assert os.listdir(box.root / ".ssh") == ["id_ed25519"]
    assert git.name == ".git"


def test_a_folder_that_became_a_link_is_not_entered(box: Box) -> None:
    """A sandboxed parent asks for a folder of its own, and makes it a link before the child is started."""
    (box.project / "sub").symlink_to(box.root / ".ssh")
    part = [os.fsencode(box.project / "sub")]
    ran = box.run("sh", "-c", "cat sub/id_ed25519", settled=True, write=part)
    assert SECRET not in ran.stdout
    assert ran.returncode != 0


# --- what must still work -------------------------------------------------------------------------------------------


def test_its_folder_is_its_own(box: Box) -> None:
    script = "mkdir a && echo x >a/b && mv a/b c && ln c d && ln -s c e && chmod 600 c && rm d && cat e && mkfifo f"
    ran = box.run("sh", "-ec", script)
    assert (ran.returncode, ran.stdout) == (0, "x\n"), ran.stderr


def test_more_is_read_and_written_where_that_is_said(box: Box) -> None:
    for name in ("more", "data"):
        (box.root / name).mkdir()
        (box.root / name / "x").write_text("x")
    script = f"cat {box.root}/data/x && echo y >{box.root}/more/x && ! echo y 2>/dev/null >{box.root}/data/x"
    ran = box.run("sh", "-ec", script, write=[box.root / "more"], read=[box.root / "data"])
    assert (ran.returncode, ran.stdout) == (0, "x"), ran.stderr
    assert (box.root / "more" / "x").read_text() == "y\n"


def test_a_home_is_not_written_to_because_it_is_the_folder(box: Box) -> None:
    """Shells read files there at the next login."""
    box.run("sh", "-c", "echo evil >>.bashrc", cwd=box.root)
    assert not (box.root / ".bashrc").exists()


def test_aish_itself_is_not_written_to_where_it_lies_in_its_folder(box: Box) -> None:
    """What starts the next sandbox would else be the work of the one before."""
    if box.tier != BWRAP:
        pytest.skip("Landlock cannot keep a part of what is written to")
    package = Path(aish.__file__).resolve().parent
    script = f"test -w {package}/sandbox/enter/__main__.py && echo writable; test -w {package.parent} && echo folder"
    assert "writable" not in box.run("sh", "-c", script, write=[package.parent]).stdout


@pytest.mark.parametrize("place", ["private", "a/private", "a/b/private"])
def test_what_is_hidden_is_not_moved_to_where_the_next_run_sees_it(box: Box, place: str) -> None:
    """What is hidden is so by its path: a folder above it that got another name would show it."""
    path = box.project / place
    path.mkdir(parents=True)
    (path / "key").write_text(SECRET)
    top = place.partition("/")[0]
    script = f"mv {top} moved; rm -rf {top}; mkdir -p a; mv a/b a/c; find . -name key -exec cat {{}} +; true"
    for _ in range(2):
        assert SECRET not in box.run("sh", "-c", script, hide=[path]).stdout
    assert (path / "key").read_text() == SECRET


def test_a_folder_is_the_same_by_another_name(box: Box) -> None:
    (box.root / "way").symlink_to(box.project)
    ran = box.run("sh", "-ec", "pwd -P; echo x >here; cat here", cwd=box.root / "way")
    assert (ran.returncode, ran.stdout) == (0, f"{box.project}\nx\n"), ran.stderr
