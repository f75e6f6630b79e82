"""Names of accounts: an id has no blank in it, whatever a path has, and reads back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aish.wire import account


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_a_project_is_known_by_its_path(path: str) -> None:
    id = account.of_project(path)
    assert id.split() == [id]
    assert account.project(id) == path
    assert not account.of_process(id)


def test_people_read_names() -> None:
    id = account.of_project("/home/a b/web/aish.toml")
    assert [account.words(each) for each in ("p12", "user", "key:editor", id)] == [
        "p12",
        "the user",
        "the key editor",
        "the project web",
    ]
    assert [account.written(each) for each in ("p12", "user", id)] == [
        "p12",
        "user",
        "project:'/home/a b/web/aish.toml'",
    ]
    assert [account.of_process(each) for each in ("p12", "user", "key:x")] == [True, False, False]
