"""What a checkpoint says of itself, and which one a number of turns means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.agents.checkpoints import checkpoint as c
from aish.agents.checkpoints import going_on, splitting
from aish.agents.checkpoints.checkpoint import Checkpoint, SnapshotPart
from aish.agents.checkpoints.splitting import Share
from aish.agents.host import invocation
from aish.errors import LimitError
from aish.wire import budget
from aish.wire.spec import BudgetPart, SpecPart


def made(number: int, turn: int, parent: int | None = None, **more: object) -> Checkpoint:
    fields = {"agent": "p4", "name": "fix", "epoch": 1, "why": c.TURN, "taken_s": 1.0} | more
    return Checkpoint(number=number, turn=turn, parent=parent, **fields)  # type: ignore[arg-type]


def test_it_is_exact_only_with_every_part() -> None:
    assert made(1, 1).exact
    for part in c.PARTS:
        assert not made(1, 1, missing={part: "why"}).exact


def test_what_is_written_is_read_again() -> None:
    one = made(
        3,
        2,
        1,
        worktree=SnapshotPart(folder="/f", git_dir="/g", common="/c", home="/h", commit="1", tree="2", head="3"),
    )
    assert c.checkpoint(c.encoded(one)) == one
    for broken in (b"", b"{", b"[]", b'{"number": "x"}', b"\xff"):
        with pytest.raises(ValueError):
            c.checkpoint(broken)


def test_turns_are_counted_along_the_way_that_it_came() -> None:
    """1 - 2 - 3 - 4, back to 2, then 5 - 6: two turns before 6 is 2 and not 3."""
    all_ = {1: made(1, 0), 2: made(2, 1, 1), 3: made(3, 2, 2), 4: made(4, 3, 3), 5: made(5, 2, 2), 6: made(6, 3, 5)}
    found = [c.turns_back(all_, 6, 3, turns) for turns in range(5)]
    assert [each and each.number for each in found] == [6, 5, 2, 1, None]
    del all_[5]
    assert c.turns_back(all_, 6, 3, 2) is None, "the way is broken: another one is not taken for it"


@pytest.mark.parametrize(
    ("word", "meant"),
    [("p4.3", ("p4", 3)), ("@p12.7", ("p12", 7)), ("fix.3", None), ("p4", None), ("4.3", None), ("p4.", None)],
)
def test_their_numbers(word: str, meant: tuple[str, int] | None) -> None:
    assert c.parted(word) == meant


AMOUNT = st.none() | st.integers(0, 1000)


@given(AMOUNT, AMOUNT, AMOUNT, AMOUNT, st.integers(0, 1200), st.booleans())
def test_a_split_budget_is_the_budget(
    tokens: int | None, requests: int | None, asked: int | None, more: int | None, used: int, all_: bool
) -> None:
    """Two that together may use more than the one would be a way around every budget."""
    spec = SpecPart(
        argv=[], budget_tokens=tokens, budget=BudgetPart(requests=requests, requests_per_minute=9, hard=True)
    )
    wanted = None if asked is None and more is None else Share(asked, BudgetPart(requests=more))
    try:
        share = splitting.share(spec, {"tokens": used, "requests": used}, wanted, all=all_, name="fix")
    except LimitError:
        return
    left = budget.without((tokens, spec.budget), (share.tokens, share.part))
    assert left[1] is not None
    assert share.part is not None
    assert (share.part.requests_per_minute, share.part.hard) == (9, True)
    for most, ours, theirs in (
        (tokens, share.tokens, left[0]),
        (requests, share.part.requests, left[1].requests),
    ):
        if most is None:
            assert theirs is None
        else:
            assert ours is not None
            assert theirs is not None
            assert ours + theirs == most
            assert 0 < ours <= most - used


def test_more_than_there_is_cannot_be_taken() -> None:
    with pytest.raises(LimitError, match="cannot be taken from a budget of 10"):
        budget.without((10, None), (11, None))
    with pytest.raises(LimitError, match="no limit cannot be taken"):
        budget.without((None, BudgetPart(usd=1.0)), (None, None))


def test_who_goes_on_waits_for_messages_and_is_alone() -> None:
    argv = invocation.command(["do", "this"], adapter="builtin", session="s", permissions="allow")
    before = SpecPart(
        argv=[word.encode() for word in argv],
        cwd=b"/repo/.aish/worktrees/fix/sub",
        model="small",
        labels={"worktree": "fix", "team": "a"},
        project="/aish.toml",
    )
    part = SnapshotPart(
        folder="/repo/.aish/worktrees/fix", git_dir="", common="", home="/repo", commit="", tree="", head=""
    )
    spec = going_on.spec(before, made(3, 2, worktree=part), "other", Share(5, None))
    said = invocation.parse_words([word.decode() for word in spec.argv[4:]])
    assert (said.adapter, said.session, said.permissions, said.model) == ("builtin", None, "allow", "small")
    assert (said.begin, said.words) == ("1-p4/3", ())
    assert (spec.cwd, spec.labels) == (b"/repo/sub", {"worktree": "", "team": "a"})
    assert (spec.project, spec.budget_tokens) == (None, 5)
