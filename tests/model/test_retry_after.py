"""Retry-After as servers write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.model.retry_after import rest_s


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "12", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:40 GMT"}, 3.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:30 GMT"}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Sun, 99 Nov 999999 08:49:37 GMT"}, None),
        ({"retry-after-ms": "x", "retry-after": "2"}, 2.0),
        ({}, None),
    ],
)
def test_retry_after_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert rest_s(headers, now_s=784111777.0) == seconds


@given(st.text(max_size=40))
def test_any_retry_after_is_read_without_harm(text: str) -> None:
    found = rest_s({"retry-after": text})
    assert found is None or found > 0
