"""What a command writes: bounded in the result, whole in a file, each stream for itself, exact if it is no text."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.session.output import Excerpt, Output
from aish.session.shelf import Shelf, sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.session.conftest import Session

PLAIN = {"bytes": 0, "omitted_bytes": 0, "lossy": False, "file": None}


def about(result: dict[str, Any], stream: str) -> dict[str, Any]:
    return {name: result[f"{stream}_{name}"] for name in PLAIN}


def test_streams_are_apart_or_merged_in_the_order_of_writing(session: Session) -> None:
    apart = session.run("echo a; echo b >&2; echo c")
    assert (apart["stdout"], apart["stderr"]) == ("a\nc\n", "b\n")
    assert about(apart, "stdout") == PLAIN | {"bytes": 4}
    merged = session.run("echo a; echo b >&2; sh -c 'echo c; echo d >&2'; echo e", merge=True)
    assert (merged["stdout"], merged["stderr"], merged["stdout_bytes"]) == ("a\nb\nc\nd\ne\n", "", 10)
    assert about(merged, "stderr") == PLAIN


def test_what_is_long_has_its_beginning_and_its_end_and_is_whole_in_a_file(session: Session) -> None:
    result = session.run("seq 100000; echo the end >&2", output_bytes=1000)
    text, path = result["stdout"], Path(result["stdout_file"])
    whole = "".join(f"{number}\n" for number in range(1, 100001))
    assert path.read_text() == whole
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    head, mark, tail = text.partition("[…")
    assert whole.startswith(head[:-1])
    assert whole.endswith(tail.partition("…]\n")[2])
    assert len(text.encode()) < 1000 + 200
    assert mark
    assert f"{result['stdout_omitted_bytes']} bytes left out; all of it: {path}" in text
    assert about(result, "stdout") == {
        "bytes": len(whole),
        "omitted_bytes": result["stdout_omitted_bytes"],
        "lossy": False,
        "file": str(path),
    }
    assert (result["stderr"], about(result, "stderr")) == ("the end\n", PLAIN | {"bytes": 8})


def test_nothing_may_be_shown_at_all(session: Session) -> None:
    result = session.run("echo hello", output_bytes=0)
    assert (result["stdout_omitted_bytes"], Path(result["stdout_file"]).read_text()) == (6, "hello\n")


def test_what_is_no_utf_8_is_replaced_and_exact_in_the_file(session: Session) -> None:
    result = session.run(r"printf 'a\377\0b\n'")
    assert (result["stdout"], result["stdout_lossy"]) == ("a\ufffd\0b\n", True)
    assert Path(result["stdout_file"]).read_bytes() == b"a\xff\0b\n"


def test_a_character_is_not_cut_in_two(session: Session) -> None:
    result = session.run("printf '€%.0s' $(seq 1000)", output_bytes=100)
    assert result["stdout_lossy"] is False
    assert "\ufffd" not in result["stdout"]
    assert result["stdout_omitted_bytes"] == 3000 - 3 * result["stdout"].count("€")


def test_a_script_that_opens_dev_stderr_does_not_cut_off_what_is_there(session: Session) -> None:
    """With a file in place of a pipe it would."""
    result = session.run("echo one >&2; echo two >/dev/stderr; echo three >&2; sh -c 'echo four >/dev/stdout'")
    assert (result["stderr"], result["stdout"]) == ("one\ntwo\nthree\n", "four\n")


def test_output_is_told_while_it_comes_and_the_result_has_it_too(session: Session) -> None:
    command = "mkfifo gate; printf '\\342\\202'; printf '\\254 one\\n'; read x <gate; echo two >&2"
    session.send("run", id=9, command=command, stream=True)
    first = session.until("output")
    text = first["text"]
    while not text.endswith("\n"):
        text += session.until("output")["text"]
    assert (first["id"], first["stream"], text) == (9, "stdout", "€ one\n")
    with open(session.folder / "gate", "w") as gate:
        gate.write("\n")
    assert session.until("output") == {"type": "output", "id": 9, "stream": "stderr", "text": "two\n"}
    result = session.until("result")
    assert (result["stdout"], result["stderr"]) == ("€ one\n", "two\n")


def test_late_output_is_not_told_even_to_who_wants_it_told(session: Session) -> None:
    session.send("run", command="mkfifo gate; { read x <gate; echo late; } &", stream=True)
    file = session.answer()["stdout_file"]
    assert session.out("echo >gate; wait; echo next") == "next\n"
    assert Path(file).read_text() == "late\n"


def test_more_than_a_pipe_holds_does_not_block_a_built_in(session: Session) -> None:
    result = session.run('x=$(seq 200000); echo "$x"; echo "$x" >&2')
    assert (result["stdout_bytes"], result["stderr_bytes"]) == (1288895, 1288895)


def test_the_files_go_with_the_session_unless_they_are_to_be_kept(open_session: Callable[..., Session]) -> None:
    plain = open_session()
    path = Path(plain.run("seq 100000")["stdout_file"])
    plain.end()
    assert not path.parent.exists()
    kept = open_session(f"--keep={plain.folder}/kept")
    path = Path(kept.run("seq 100000")["stdout_file"])
    kept.end()
    assert (plain.folder / "kept" in path.parents, path.stat().st_size) == (True, 588895)


def test_what_a_killed_session_has_left_is_swept_by_the_next_one(open_session: Callable[..., Session]) -> None:
    killed, alive = open_session(), open_session()
    left, used = (Path(each.run("seq 100000")["stdout_file"]) for each in (killed, alive))
    killed.process.kill()
    killed.process.wait()
    assert left.exists()
    open_session()
    assert (left.parent.exists(), used.exists()) == (False, True)


def test_a_folder_that_cannot_be_written_costs_the_file_and_not_the_result(
    open_session: Callable[..., Session],
) -> None:
    session = open_session("--keep=/proc/no-such")
    result = session.run("seq 100000; echo end")
    assert (result["stdout_file"], result["stdout"].endswith("end\n"), result["status"]) == (None, True, 0)
    assert "bytes left out …" in result["stdout"]


# --------------------------------------------------------------------------------------------- the parts


@pytest.mark.parametrize("limit", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("pieces", [[], [1] * 300, [300], [3, 200, 1], [100], [50, 50], [50, 51]])
def test_an_excerpt_is_the_same_however_the_bytes_come(limit: int, pieces: list[int]) -> None:
    data = bytes(32 + number % 64 for number in range(sum(pieces)))
    excerpt, at = Excerpt(limit), 0
    for size in pieces:
        excerpt.add(data[at : at + size])
        at += size
    head, tail, omitted = excerpt.shown()
    if len(data) <= limit:
        assert (head, tail, omitted) == (data, b"", 0)
    else:
        assert (head, tail) == (data[: limit // 2], data[len(data) - (limit - limit // 2) :])
        assert omitted == len(data) - limit
    assert len(excerpt.head) + len(excerpt.tail) <= 2 * limit + 1, "bounded, whatever comes"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of aish."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "aish"


def test_the_oldest_complete_files_go_where_there_are_too_many(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aish.session.shelf.MOST_FILES", 3)
    monkeypatch.setattr("aish.session.shelf.MOST_FILES_BYTES", 100)
    shelf = Shelf()
    first, second = shelf.file("first"), shelf.file("second")
    first.write(b"x" * 40)
    second.write(b"x" * 40)
    second.close()
    third = shelf.file("third")
    third.write(b"x" * 40)
    assert [Path(file.path or "").exists() for file in (first, second, third)] == [True, False, True]
    third.write(b"x" * 40)
    assert third.size_bytes == 40, "those that are open stay, and have no room for more"
    for name in ("4", "5"):
        shelf.file(name).close()
    assert sorted(os.listdir(shelf.folder())) == ["5", "first", "lock", "third"]
    shelf.close()
    assert os.listdir(state / "sessions") == []


def test_a_file_is_bounded_and_what_is_more_is_counted(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aish.session.shelf.FILE_BYTES", 1000)
    shelf = Shelf()
    output = Output("1.stdout", 10, shelf)
    os.write(output.write_fd, b"x" * 5000)
    output.handed_over()
    while output.read():
        pass
    told = output.told()
    assert (told.size_bytes, told.omitted_bytes, Path(told.file or "").stat().st_size) == (5000, 4990, 1000)
    shelf.close()
    assert os.listdir(state / "sessions") == []


def test_a_folder_in_the_making_is_not_swept(state: Path) -> None:
    (state / "sessions" / "1-new").mkdir(parents=True)
    sweep()
    assert (state / "sessions" / "1-new").exists()
