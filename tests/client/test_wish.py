"""What people write of a process, read as it was meant."""

from __future__ import annotations

import pytest

from aish.client import wish
from aish.errors import UsageError
from aish.wire.spec import NeedPart


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("db", NeedPart(name="db")),
        ("@db", NeedPart(name="db")),
        ("job:completed", NeedPart(name="job", until="completed")),
        ("db:ready:30", NeedPart(name="db", until="ready", timeout_s=30.0)),
        ("a:b:ready", NeedPart(name="a:b", until="ready")),
        ("a:b:started:0.5", NeedPart(name="a:b", until="started", timeout_s=0.5)),
        ("ready", NeedPart(name="ready")),
        ("ready:ready", NeedPart(name="ready", until="ready")),
    ],
)
def test_a_need_by_a_name_that_may_have_colons(text: str, part: NeedPart) -> None:
    """A process called a:b could not be needed."""
    assert wish.need(text, "--needs") == part


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("db:complete", "did you mean completed?"),
        ("a:b", "after a name with a colon it is needed"),
        ("db:30", "one of"),
    ],
)
def test_what_cannot_be_waited_for_is_told(text: str, hint: str) -> None:
    with pytest.raises(UsageError, match="is not what one can wait for") as caught:
        wish.need(text, "--needs")
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("log:listening", "--ready", "did you mean line:listening?"),
        ("log:listening", "--live", "one of exec:"),
        ("exce:./ok", "--live", "did you mean exec:./ok?"),
    ],
)
def test_a_probe_that_is_none_is_told_which_was_meant(text: str, what: str, hint: str) -> None:
    """aish.toml says `log` where the command line says `line:`, and neither told of the other."""
    with pytest.raises(UsageError, match="not a probe") as caught:
        wish.probe(text, what)
    assert (caught.value.hint or "").startswith(hint)
