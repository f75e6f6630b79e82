"""The one word for a state: total over every combination, and the holds come before what it was doing."""

from __future__ import annotations

from itertools import chain, combinations, product

import pytest

from aish.model import state


def every_state() -> list[tuple[str, str, frozenset[str], str | None]]:
    holds = chain.from_iterable(combinations(state.HOLDS, count) for count in range(len(state.HOLDS) + 1))
    return list(product(state.LIFECYCLES, state.READY, map(frozenset, holds), (None, *state.ACTIVITIES)))


def test_every_combination_has_a_word_of_the_closed_list() -> None:
    words = {state.word(*combination) for combination in every_state()}  # type: ignore[arg-type]
    assert words == set(state.WORDS)


@pytest.mark.parametrize("lifecycle", [each for each in state.LIFECYCLES if each != state.RUNNING])
def test_a_process_that_does_not_run_is_called_by_its_lifecycle(lifecycle: state.Lifecycle) -> None:
    assert state.word(lifecycle, "yes", frozenset({"user"}), "generating") == lifecycle


def test_a_hold_is_told_before_the_activity() -> None:
    assert state.word("running", "yes", frozenset({"budget"}), "generating") == "over-budget"


def test_a_persons_own_pause_is_told_before_other_holds() -> None:
    assert state.word("running", "yes", frozenset({"budget", "user"}), None) == "paused"


def test_a_model_that_is_not_ready_is_loading_whatever_it_does() -> None:
    assert state.word("running", "no", frozenset(), "loaded") == "loading"
