"""What keys do: the whole table, on a pure function."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aish.top.control import Act, press
from aish.top.ui import SORTS, Ui
from aish.wire.reply import View

Views = dict[str, View]


def pressed(view: View | None, *keys: str, ui: Ui | None = None) -> tuple[Ui, Act | None]:
    ui, act = ui or Ui(), None
    for key in keys:
        ui, act = press(ui, view, key)
    return ui, act


@pytest.mark.parametrize("key", ["q", "ctrl-c", "ctrl-d"])
def test_quit(views: Views, key: str) -> None:
    assert pressed(views["usual"], key)[1] == Act("quit")
    assert pressed(None, key)[1] == Act("quit")


def test_the_marker_moves_over_the_rows_and_stops_at_the_ends(views: Views) -> None:
    view = views["usual"]
    assert pressed(view, "down")[0].selected == "p15"
    assert pressed(view, "up")[0].selected == "p12"
    assert pressed(view, "down", "down", "down")[0].selected == "p21"
    assert pressed(view, "end")[0].selected == "p51"
    assert pressed(view, "end", "down")[0].selected == "p51"
    assert pressed(view, "end", "home")[0].selected == "p12"
    assert pressed(views["empty"], "down")[0].selected is None
    assert pressed(None, "down")[0].selected is None


def test_p_pauses_and_lets_go_on(views: Views) -> None:
    view = views["usual"]
    assert pressed(view, "down", "p")[1] == Act("pause", "p15", "coder-1")
    held = [msgspec.structs.replace(p, state="paused", holds=["user"]) for p in view.processes]
    assert pressed(msgspec.structs.replace(view, processes=held), "p")[1] == Act("cont", "p12", "qwen3-32b")


def test_c_cancels_the_turn(views: Views) -> None:
    assert pressed(views["usual"], "down", "c")[1] == Act("cancel", "p15", "coder-1")


def test_a_hold_of_another_reason_is_not_lifted_by_p(views: Views) -> None:
    """Only what put a hold there lifts it: over budget, p adds the person's own hold."""
    view = views["usual"]
    held = [msgspec.structs.replace(p, state="over-budget", holds=["budget"]) for p in view.processes]
    assert pressed(msgspec.structs.replace(view, processes=held), "p")[1] == Act("pause", "p12", "qwen3-32b")


def test_k_asks_first(views: Views) -> None:
    view = views["usual"]
    ui, act = pressed(view, "down", "k")
    assert act is None
    assert ui.confirm is not None
    assert ui.confirm.target == "p15"
    assert pressed(view, "y", ui=ui) == (Ui(selected="p15"), Act("stop", "p15", "coder-1"))
    for key in ("n", "esc", "enter", "q", "k", "down"):
        after, act = pressed(view, key, ui=ui)
        assert act is None
        assert after.confirm is None
        assert after.message == "coder-1 goes on"


def test_the_question_is_about_the_process_that_was_selected_when_it_was_asked(views: Views) -> None:
    """Rows move between the question and the answer; the wrong one must not be stopped."""
    view = views["usual"]
    ui, _ = pressed(view, "down", "k", ui=Ui(sort="cpu"))
    assert ui.confirm is not None
    wanted = ui.confirm.target
    later = msgspec.structs.replace(view, processes=list(reversed(view.processes)))
    assert pressed(later, "y", ui=ui)[1] == Act("stop", wanted, ui.confirm.name)


@pytest.mark.parametrize("key", ["p", "k", "c"])
def test_nothing_is_done_to_what_is_not_there(views: Views, key: str) -> None:
    for view in (None, views["empty"]):
        ui, act = pressed(view, key)
        assert act is None
        assert ui.message == "nothing is selected"
    ui, act = pressed(views["ended"], key)
    assert (ui.message, act) == ("fine has ended already", None)


def test_sort_goes_round_in_both_directions() -> None:
    seen = []
    ui = Ui()
    for _ in SORTS:
        ui, _ = press(ui, None, ">")
        seen.append(ui.sort)
    assert sorted(seen) == sorted(SORTS)
    assert ui.sort == "tree"
    assert press(ui, None, "<")[0].sort == SORTS[-1]


def test_a_filter_is_typed_edited_kept_and_dropped(views: Views) -> None:
    view = views["usual"]
    ui, act = pressed(view, "/", "q", "p", "k", "x", "backspace", " ", "enter")
    assert act is None, "letters of a filter are no commands"
    assert (ui.filter, ui.editing) == ("qpk ", False)
    assert pressed(view, "esc", ui=ui)[0].filter == ""
    assert pressed(view, "/", "a", "esc")[0] == Ui()


def test_space_freezes_and_help_closes_with_any_key() -> None:
    assert press(Ui(), None, " ")[0].paused
    assert not press(Ui(paused=True), None, " ")[0].paused
    helped, _ = press(Ui(), None, "?")
    assert helped.help
    assert press(helped, None, "k") == (Ui(), None)
    assert press(helped, None, "q")[1] == Act("quit")


def test_ctrl_l_draws_anew() -> None:
    assert press(Ui(), None, "ctrl-l")[1] == Act("redraw")


def test_a_message_goes_with_the_next_key() -> None:
    assert press(Ui(message="paused x", trouble=True), None, "z")[0] == Ui()


KEYS = st.sampled_from(
    ["q", "p", "k", "y", "n", "/", "<", ">", " ", "?", "a", "up", "down", "home", "end", "page-up", "esc", "enter"]
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=st.lists(KEYS, max_size=30), name=st.sampled_from(["usual", "empty", "unknown", "hostile", "ended"]))
def test_stop_is_only_ever_the_answer_to_a_question(views: Views, keys: list[str], name: str) -> None:
    ui = Ui()
    for key in keys:
        asked = ui.confirm
        ui, act = press(ui, views[name], key)
        if act is not None and act.kind == "stop":
            assert asked is not None
            assert key in ("y", "Y")
            assert act.target == asked.target
