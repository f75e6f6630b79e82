"""What a client may ask for: each refusal names the field, and nothing was done."""

from __future__ import annotations

from typing import Any

import pytest

from aish.errors import InputError, LimitError, RefusedError
from aish.supervisor.daemon import flaw, want
from aish.supervisor.daemon.authority import USER, Caller
from aish.supervisor.daemon.process import Process
from aish.supervisor.daemon.row import Row
from aish.wire.message import Spawn
from aish.wire.spec import BudgetPart, LaunchPart, ProbePart, RoutePart, SecretPart, SpecPart

ROUTE = RoutePart(url="http://127.0.0.1:{port}/v1")
KEYRING = SecretPart(keyring="a/b")
TOKEN = "0" * 32


def spec(**fields: Any) -> SpecPart:
    return SpecPart(**{"argv": [b"true"], **fields})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "system"}, "kind"),
        ({"restart": "sometimes"}, "restart"),
        ({"rights": "root"}, "rights"),
        ({"argv": []}, "argv"),
        ({"argv": [b""]}, "argv"),
        ({"argv": [b"a\0b"]}, "argv"),
        ({"argv": [b"x"] * (flaw.MOST_WORDS + 1)}, "argv"),
        ({"cwd": b"relative"}, "cwd"),
        ({"grace_s": float("nan")}, "grace_s"),
        ({"grace_s": float("inf")}, "grace_s"),
        ({"grace_s": -1.0}, "grace_s"),
        ({"stop_signal": 0}, "stop_signal"),
        ({"stop_signal": 65}, "stop_signal"),
        ({"live": ProbePart(address="127.0.0.1:99999")}, "live"),
        ({"ready": ProbePart(address="127.0.0.1:0")}, "ready"),
        ({"ready": ProbePart(url="http://")}, "ready"),
        ({"ready": ProbePart(url="http://[::1")}, "ready"),
        ({"ready": ProbePart(url="http://127.0.0.1:99999/")}, "ready"),
        ({"vram_bytes": 0}, "vram_bytes"),
        ({"vram_bytes": 1 << 62}, "vram_bytes"),
        ({"gpu_count": 0}, "gpu_count"),
        ({"gpu_count": 65}, "gpu_count"),
        ({"budget_tokens": -5}, "budget_tokens"),
        ({"kind": "model"}, "route"),
        ({"route": ROUTE}, "route"),
        ({"kind": "model", "route": RoutePart(url="ftp://x")}, "route.url"),
        ({"kind": "model", "route": RoutePart(url="http://")}, "route.url"),
        ({"kind": "model", "route": RoutePart(url="https:///v1")}, "route.url"),
        ({"kind": "model", "route": RoutePart(url="http://user:word@host/v1")}, "route.url"),  # inspect would show it
        ({"kind": "model", "route": RoutePart(url="http://x/v1", login="other")}, "route.login"),
        ({"kind": "model", "route": RoutePart(url="http://x/v1", proxy="socks5://p:1")}, "route.proxy"),
        ({"kind": "model", "route": RoutePart(url="http://x/v1", proxy="http://")}, "route.proxy"),
        ({"kind": "model", "route": RoutePart(url="http://x/v1", proxy="http://me:word@p:1")}, "route.proxy"),
        ({"kind": "model", "route": RoutePart(url="http://x/v1", ca_file="ca.pem")}, "route.ca_file"),
        ({"kind": "model", "route": RoutePart(url="http://x/v1", concurrent=0)}, "route.concurrent"),
        ({"kind": "model", "route": RoutePart(url="http://x/v1", concurrent=10_001)}, "route.concurrent"),
        ({"kind": "model", "route": RoutePart(url="http://x/v1", key=SecretPart())}, "route.key"),
        ({"kind": "model", "route": RoutePart(url="http://x/v1", key=SecretPart(file=b"relative"))}, "route.key"),
        ({"kind": "model", "route": RoutePart(url="http://x/v1", key=KEYRING, key_file="/k")}, "route.key"),
        ({"kind": "model", "route": RoutePart(url="http://x/v1", key=KEYRING, login="client")}, "route.key"),
        ({"kind": "model", "route": ROUTE, "budget_tokens": 1000}, "budget_tokens"),  # it would cap nothing
        ({"kind": "model", "route": ROUTE, "budget": BudgetPart(usd=1.0)}, "budget"),
        ({"kind": "model", "route": ROUTE, "argv": []}, "argv"),  # a leased port that nobody listens on
    ],
)
def test_bad_specs(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as error:
        want.check_spec(spec(**fields))
    assert error.value.field == field


def test_good_specs() -> None:
    want.check_spec(spec())
    want.check_spec(spec(kind="model", route=ROUTE))
    want.check_spec(spec(kind="model", route=RoutePart(url="https://host/v1"), argv=[]))
    want.check_spec(spec(kind="model", route=RoutePart(url="unix:/run/x.sock"), vram_bytes=1 << 30, gpu_count=2))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"environ": [b"NOVALUE"]}, "environ"),
        ({"environ": [b"A=\0"]}, "environ"),
        ({"umask": 0o1000}, "umask"),
        ({"nice": 20}, "nice"),
        ({"rlimits": {"nofile": (1, 1)}}, "rlimits"),
        ({"rlimits": {"NOFILE": (-2, 1)}}, "rlimits"),
    ],
)
def test_bad_launches(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as error:
        want.check_launch(LaunchPart(**{"environ": [], **fields}))
    assert error.value.field == field


@pytest.mark.parametrize(
    ("fields", "fd_count", "field"),
    [
        ({"token": "xyz"}, 0, "token"),
        ({"targets": [0]}, 0, "targets"),
        ({}, 1, "targets"),
        ({"targets": [0, 0]}, 2, "targets"),
        ({"targets": [-1]}, 1, "targets"),
        ({"targets": list(range(want.PASSED_MOST + 1))}, want.PASSED_MOST + 1, "targets"),
        ({"targets": [0], "spec": spec(restart="always")}, 1, "restart"),
        ({"targets": [1], "spec": spec(pty=True)}, 1, "targets"),
    ],
)
def test_bad_spawns(fields: dict[str, Any], fd_count: int, field: str) -> None:
    request = Spawn(**{"token": TOKEN, "spec": spec(), "launch": LaunchPart(environ=[]), **fields})
    with pytest.raises(InputError) as error:
        want.check_spawn(request, fd_count)
    assert error.value.field == field


def parent(**fields: Any) -> Process:
    return Process(Row(id="p1", number=1, name="agent", spec=spec(**fields), created_s=0.0))


AGENT = Caller("process", "p1")


@pytest.mark.parametrize(
    ("above", "wanted", "error"),
    [
        ({}, {"rights": "owner"}, RefusedError),
        ({}, {"kind": "model", "route": ROUTE}, RefusedError),
        ({"budget_tokens": 1000}, {"budget_tokens": 2000}, LimitError),
        ({"vram_bytes": 8}, {"vram_bytes": 9}, LimitError),
        ({"vram_bytes": 8}, {"vram_bytes": 8, "gpu_count": 2}, LimitError),
        ({"budget_tokens": 1000}, {"budget_tokens": 1000}, None),
        ({"budget_tokens": 1000}, {}, None),  # counted down its parent's budget all the same
        ({}, {"vram_bytes": 8}, None),
    ],
)
def test_a_process_gives_no_more_than_it_has(
    above: dict[str, Any], wanted: dict[str, Any], error: type[Exception] | None
) -> None:
    """Else an agent would buy itself a budget through its child."""
    if error is None:
        want.check_rights(AGENT, parent(**above), spec(**wanted))
    else:
        with pytest.raises(error):
            want.check_rights(AGENT, parent(**above), spec(**wanted))
    want.check_rights(USER, None, spec(**wanted))


def test_a_process_whose_own_row_is_gone_spawns_nothing() -> None:
    with pytest.raises(RefusedError):
        want.check_rights(AGENT, None, spec())
