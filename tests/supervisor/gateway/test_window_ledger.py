"""Usage windows, pure: what headers say, what holds of it later, and what no vendor would send."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.supervisor.gateway.windows.headers import PREFIXES, length_s, moment_s, sightings, span_name
from aish.supervisor.gateway.windows.ledger import (
    HEADER,
    LOG,
    MOST_ACCOUNTS,
    MOST_WINDOWS,
    Account,
    Ledger,
    Sighting,
)
from aish.supervisor.gateway.windows.login import MOST_KNOWN, Logins

NOW_S = 1_790_000_000.0
CLAUDE = Account("claude")


def unified(**fields: str) -> dict[str, str]:
    return {"Anthropic-Ratelimit-Unified-" + name: value for name, value in fields.items()}


def codex(**fields: str) -> dict[str, str]:
    return {"x-codex-" + name.replace("_", "-"): value for name, value in fields.items()}


# --- headers --------------------------------------------------------------------------------------------------------


def test_the_windows_of_a_subscription() -> None:
    told = unified(
        **{"status": "allowed_warning", "representative-claim": "five_hour", "reset": "1790003600"},
        **{"5h-utilization": "0.42", "5h-reset": "1790003600", "5h-status": "allowed_warning"},
        **{"7d-utilization": "0.3", "7d-reset": "2026-09-23T05:25:11Z", "7d_opus-utilization": "1"},
        **{"overage-utilization": "0.0", "overage-status": "rejected", "fallback-percentage": "0.5"},
    )
    assert sightings(told, NOW_S) == [
        Sighting("5h", 0.42, 1790003600.0, "allowed_warning", 18000.0),
        Sighting("7d", 0.3, 1790141111.0, None, 604800.0),
        Sighting("7d_opus", 1.0, None, None, 604800.0),
    ]


def test_a_refusal_names_the_window_that_it_is_for() -> None:
    told = unified(**{"status": "rejected", "representative-claim": "seven_day_opus", "reset": "1790003600"})
    told |= unified(**{"5h-utilization": "0.1", "5h-reset": "1790001000"})
    assert [(each.window, each.status, each.resets_s) for each in sightings(told, NOW_S)] == [
        ("5h", None, 1790001000.0),
        ("7d_opus", "rejected", 1790003600.0),
    ]


def test_a_refusal_that_says_which_window_is_not_put_on_another() -> None:
    told = unified(**{"status": "rejected", "representative-claim": "five_hour", "reset": "1790003600"})
    told |= unified(**{"7d-status": "rejected", "7d-reset": "1790003600"})
    assert [each.window for each in sightings(told, NOW_S)] == ["7d"]


def test_codex_windows_are_told_by_their_length_and_not_by_their_place() -> None:
    told = codex(primary_used_percent="42.5", primary_window_minutes="10080", primary_reset_at="1790003600")
    told |= codex(secondary_used_percent="0", secondary_window_minutes="0")
    told |= codex(**{"bengalfox-primary-used-percent": "100", "bengalfox-primary-window-minutes": "300"})
    told |= codex(**{"bengalfox-primary-reset-after-seconds": "90"})
    assert sightings(told, NOW_S) == [
        Sighting("7d", 0.425, 1790003600.0, None, 604800.0),
        Sighting("5h_bengalfox", 1.0, NOW_S + 90, None, 18000.0),
    ]


@pytest.mark.parametrize("bad", ["nan", "inf", "-1", "", "x", "0x10", "1" * 400, "--", "-0.0001"])
def test_what_is_no_part_of_anything_is_not_known(bad: str) -> None:
    told = unified(**{"5h-utilization": bad, "5h-reset": "1790003600"})
    assert [each.used for each in sightings(told, NOW_S)] == [None]
    assert sightings(codex(primary_used_percent=bad), NOW_S) == []


@pytest.mark.parametrize("bad", ["nan", "1e300", "-5", "0", "2026-13-40", "tomorrow", "9" * 30, "1", "2500-01-01"])
def test_a_moment_that_cannot_be_meant_is_not_known(bad: str) -> None:
    assert moment_s(bad, NOW_S) is None


def test_milliseconds_are_told_from_seconds() -> None:
    assert moment_s("1790003600000", NOW_S) == 1790003600.0
    assert moment_s(True, NOW_S) is None


@pytest.mark.parametrize(
    ("seconds", "name"), [(18000.0, "5h"), (604800.0, "7d"), (5400.0, "90m"), (2592000.0, "30d"), (60.0, "1m")]
)
def test_names_of_lengths(seconds: float, name: str) -> None:
    assert (span_name(seconds), length_s(name)) == (name, seconds)


NAMES = st.builds(
    str.__add__,
    st.sampled_from([*PREFIXES, "x-ratelimit-", "anthropic-"]),
    st.one_of(
        st.from_regex(r"([a-z0-9_]{1,30}-)?(utilization|reset|status|representative-claim)", fullmatch=True),
        st.from_regex(r"([a-z-]{0,9})(primary|secondary)-(used-percent|window-minutes|reset-at)", fullmatch=True),
        st.text(max_size=20),
    ),
)
VALUES = st.one_of(
    st.floats().map(str), st.integers().map(str), st.text(max_size=60), st.sampled_from(["rejected", "five_hour"])
)


@given(st.dictionaries(NAMES, VALUES, max_size=80))
def test_any_headers_are_read_or_left_out(headers: dict[str, str]) -> None:
    for each in sightings(headers, NOW_S):
        assert each.used is None or 0 <= each.used <= 10
        assert each.resets_s is None or (math.isfinite(each.resets_s) and abs(each.resets_s - NOW_S) < 101 * 86400)
        assert each.used is not None or each.resets_s is not None
        assert len(each.window) <= 40


# --- what holds of it -----------------------------------------------------------------------------------------------


def seen(ledger: Ledger, at_s: float, now_s: float | None = None, source: str = HEADER, **fields: object) -> bool:
    sighting = replace(Sighting("5h", length_s=18000.0), **fields)  # type: ignore[arg-type]
    return bool(ledger.see(CLAUDE, [sighting], at_s, source, at_s if now_s is None else now_s))  # type: ignore[arg-type]


def only(ledger: Ledger, now_s: float) -> tuple[float | None, float | None]:
    (window,) = ledger.of(CLAUDE, now_s)
    return window.used, window.resets_s


def test_a_window_that_began_anew_is_unknown_and_not_empty() -> None:
    ledger = Ledger()
    assert seen(ledger, NOW_S, used=0.9, resets_s=NOW_S + 100)
    assert only(ledger, NOW_S + 99) == (0.9, NOW_S + 100)
    assert only(ledger, NOW_S + 100) == (None, None)


def test_one_without_an_end_is_believed_for_its_length() -> None:
    ledger = Ledger()
    assert seen(ledger, NOW_S, used=0.5)
    assert only(ledger, NOW_S + 17999)[0] == 0.5
    assert only(ledger, NOW_S + 18000)[0] is None


def test_an_older_word_changes_nothing() -> None:
    """Logs are read again after a restart."""
    ledger = Ledger()
    assert seen(ledger, NOW_S, used=0.5, resets_s=NOW_S + 100)
    assert not seen(ledger, NOW_S - 10, NOW_S + 1, LOG, used=0.4, resets_s=NOW_S + 100)
    assert only(ledger, NOW_S)[0] == 0.5


def test_a_clock_that_was_set_back_does_not_silence_a_vendor() -> None:
    ledger = Ledger()
    assert seen(ledger, NOW_S + 1e6, used=0.5, resets_s=NOW_S + 1e6 + 100)
    assert seen(ledger, NOW_S, NOW_S, used=0.6, resets_s=NOW_S + 100)
    assert only(ledger, NOW_S)[0] == 0.6


def test_a_refusal_without_a_figure_keeps_the_figure_of_the_same_period_and_counts_as_all() -> None:
    ledger = Ledger()
    assert seen(ledger, NOW_S, used=0.97, resets_s=NOW_S + 1000)
    assert seen(ledger, NOW_S + 1, resets_s=NOW_S + 1001, status="rejected")
    (window,) = ledger.of(CLAUDE, NOW_S + 2)
    assert (window.used, window.spent) == (0.97, 1.0)
    assert seen(ledger, NOW_S + 3, resets_s=NOW_S + 20000)
    assert only(ledger, NOW_S + 4) == (None, NOW_S + 20000)


def test_the_same_word_again_is_no_news() -> None:
    ledger = Ledger()
    assert seen(ledger, NOW_S, used=0.5, resets_s=NOW_S + 100)
    assert not seen(ledger, NOW_S + 1, used=0.5, resets_s=NOW_S + 100)
    assert ledger.of(CLAUDE, NOW_S)[0].seen_s == NOW_S + 1


def test_accounts_and_windows_are_bounded_and_the_latest_stay() -> None:
    ledger = Ledger()
    for number in range(MOST_ACCOUNTS + 5):
        ledger.see(Account("claude", f"{number}"), [Sighting("5h", 0.1)], NOW_S + number, HEADER, NOW_S + number)
    assert [window.account.login for window in ledger.overflow()] == ["0", "1", "2", "3", "4"]
    many = [Sighting(f"{number}h", 0.1) for number in range(1, MOST_WINDOWS + 5)]
    assert len(ledger.see(CLAUDE, many, NOW_S, HEADER, NOW_S)) == MOST_WINDOWS


STEPS = st.lists(
    st.tuples(
        st.floats(0, 100_000),  # when it was seen
        st.one_of(st.none(), st.floats(0, 2)),
        st.one_of(st.none(), st.floats(-1000, 200_000)),  # when it ends, from then
        st.sampled_from([None, "allowed", "rejected"]),
    ),
    max_size=30,
)


@given(STEPS, st.floats(0, 300_000))
def test_nothing_is_known_that_no_word_of_the_running_period_said(
    steps: list[tuple[float, float | None, float | None, str | None]], later_s: float
) -> None:
    ledger = Ledger()
    now_s = NOW_S
    for at_s, used, ends_s, status in steps:
        now_s = max(now_s, NOW_S + at_s)
        resets_s = None if ends_s is None else NOW_S + at_s + ends_s
        ledger.see(CLAUDE, [Sighting("5h", used, resets_s, status, 18000.0)], NOW_S + at_s, HEADER, now_s)
    for window in ledger.of(CLAUDE, NOW_S + later_s):
        assert window.used is None or window.used in {used for _, used, _, _ in steps}
        assert window.resets_s is None or window.resets_s > NOW_S + later_s
        assert window.seen_s == NOW_S + max(at_s for at_s, *_ in steps)


# --- whose ----------------------------------------------------------------------------------------------------------

ORG = "anthropic-organization-id"


def test_a_login_that_is_renewed_stays_the_same_account_and_two_do_not_mix() -> None:
    logins = Logins(b"secret", {})
    first, _ = logins.learn({"authorization": "Bearer a"}, {ORG: "org-1"})
    renewed, bearer = logins.learn({"authorization": "Bearer b"}, {ORG: "org-1"})
    other, _ = logins.learn({"authorization": "Bearer c"}, {ORG: "org-2"})
    assert (first == renewed, first == other) == (True, False)
    assert bearer is not None
    assert logins.account({"authorization": "Bearer b"}) == first
    assert logins.account({"authorization": "Bearer never seen"}) is None
    assert logins.learn({"authorization": "Bearer b"}, {ORG: "org-1"})[1] is None, "known: nothing to write"


def test_without_a_word_of_the_vendor_the_bearer_is_the_account() -> None:
    logins = Logins(b"secret", {})
    assert logins.learn({"x-api-key": "k"}, {})[0] == logins.account({"x-api-key": "k"})
    assert logins.account({"chatgpt-account-id": "acct"}) == logins.learn({"chatgpt-account-id": "acct"}, {})[0]


@given(st.text(min_size=1, max_size=200), st.binary(min_size=32, max_size=32))
def test_a_mark_has_nothing_of_the_login(login: str, secret: bytes) -> None:
    account, _ = Logins(secret, {}).learn({"authorization": login}, {})
    assert len(account) == 8
    assert int(account, 16) >= 0
    assert account != Logins(secret + b"x", {}).learn({"authorization": login}, {})[0]


def test_known_logins_are_bounded() -> None:
    logins = Logins(b"secret", {f"{number:08x}": "0" * 8 for number in range(MOST_KNOWN + 3)})
    assert logins.overflow() == ["00000000", "00000001", "00000002"]
