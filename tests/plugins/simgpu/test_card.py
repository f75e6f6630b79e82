"""devices.json: what is refused, and with which words."""

from __future__ import annotations

import json
import os

import pytest

from aish.errors import SourceError, UsageError
from aish.plugins.simgpu import card as cards

GIB = 1 << 30


def test_no_folder_means_no_cards(folder: str) -> None:
    assert cards.load(folder) == cards.Rack()


def test_without_a_setting_the_cards_live_in_the_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cards.DIR_VARIABLE)
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert cards.folder() == "/somewhere/aish/simgpu"


def test_what_is_saved_is_loaded(folder: str) -> None:
    designed = cards.design(folder, 3, 80 * GIB, "Fine card")
    cards.save(folder, designed)
    assert cards.load(folder).cards == designed
    assert os.stat(folder).st_mode & 0o077 == 0


def test_the_same_design_has_the_same_identity_and_another_has_not(folder: str) -> None:
    """Quotas and promises go by uuid: making the cards again must not orphan them."""
    first = cards.design(folder, 2, GIB, None)
    assert first == cards.design(folder, 2, GIB, None)
    others = cards.design(folder, 2, 2 * GIB, None) + cards.design(folder + "x", 2, GIB, None)
    assert len({card.uuid for card in first + others}) == 6


@pytest.mark.parametrize(
    ("count", "memory", "name"),
    [(0, GIB, None), (65, GIB, None), (1, 100, None), (1, 1 << 60, None), (1, GIB, ""), (1, GIB, "a\x1b[31m")],
)
def test_designs_that_make_no_sense_are_refused(folder: str, count: int, memory: int, name: str | None) -> None:
    with pytest.raises(UsageError):
        cards.design(folder, count, memory, name)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "Expecting value"),
        ("[]", None, "expected an object"),
        ('{\n"devices": 3}', 2, "expected a list"),
        ('{\n"devices": [3]}', 2, "list of objects"),
        ('{"devices": [{\n"uuid": "a", "memory": "24G"}]}', 2, "number of bytes"),
        ('{"devices": [{\n"uuid": "a", "memory": true}]}', 2, "number of bytes"),
        ('{"devices": [{\n"uuid": "a", "memory": 3}]}', 2, "expected 1048576"),
        ('{"devices": [{"memory": 1073741824}]}', None, "expected a text"),
        ('{"devices": [{"uuid": "a", "memory": 1073741824, "power_limit_w": NaN}]}', 1, "watts"),
        ('{\n\n"device": []}', 3, "unknown key"),
        ('{\n"faults": {"lots": true}}', 2, "unknown key"),
        ('{\n"faults": {"lost": "all"}}', 2, "indices"),
        ('{\n"faults": {"slow_s": -1}}', 2, "seconds"),
        ('{\n"faults": {"slow_s": true}}', 2, "seconds"),
        ("[" * 100_000, None, "nested too deeply"),
    ],
)
def test_a_damaged_file_is_refused_with_its_place(text: str, line: int | None, words: str) -> None:
    with pytest.raises(SourceError) as caught:
        cards.parse(text, "devices.json")
    assert words in str(caught.value)
    assert caught.value.line == line


def test_a_misspelt_key_gets_a_suggestion() -> None:
    with pytest.raises(SourceError) as caught:
        cards.parse('{"faults": {"slow": 2}}', "devices.json")
    assert caught.value.hint == "did you mean slow_s?"


def test_the_same_card_twice_is_refused() -> None:
    device = {"uuid": "a", "memory": GIB}
    with pytest.raises(SourceError, match="same index or uuid"):
        cards.parse(json.dumps({"devices": [device, {**device, "index": 1}]}), "devices.json")


def test_faults_are_read() -> None:
    faults = cards.parse(
        '{"faults": {"sample_error": "Xid 79", "slow_s": 2, "lost": [1], "junk_processes": true}}', "f"
    ).faults
    assert faults == cards.Faults(sample_error="Xid 79", slow_s=2.0, lost=frozenset({1}), junk_processes=True)
    assert cards.parse('{"faults": {"lost": true}}', "f").faults.lost_all
