"""From an entry to the spec that the daemon takes: every key arrives where it belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from aish.agents.definition import parse as parse_agent
from aish.agents.host.invocation import is_host
from aish.errors import InputError
from aish.project import schema
from aish.project.digest import same, same_run
from aish.supervisor.daemon import want
from aish.wire.sandbox import SandboxPart
from aish.wire.spec import (
    BudgetPart,
    FailoverPart,
    GroupPart,
    LimitPart,
    NeedPart,
    PricePart,
    ProbePart,
    RestartPart,
    SchedulePart,
    SecretPart,
    SocketPart,
    SpecPart,
)

if TYPE_CHECKING:
    from collections.abc import Callable

EVERYTHING = """
[services.db]
command = "db"
[services.s]
command = 'prog "two words" {port}'
cwd = "sub"
env = { A = "1" }
inherit = ["SSH_AUTH_SOCK"]
keys = ["OPENAI_API_KEY"]
secrets = { T = { file = "~/t" }, U = { command = "pass show u" }, V = { keyring = "mail/me" } }
needs = ["db", { name = "db", until = "started", timeout = "30s" }]
ready = { http = "http://127.0.0.1:{port}/", every = "0.5s", timeout = "2s", failures = 5 }
live = { unix = "/run/s", failures = 2 }
check = "test -s out"
before = ["make", "db"]
after = "echo $AISH_EXIT_CODE"
restart = { policy = "always", delay = "1s", longest = "1m", most = 3, window = "2m", stable = "5m" }
timeouts = { start = "10s", run = "1h", hook = "1m" }
stop = { signal = "INT", grace = "30s" }
limits = { memory = "8G", cpus = "1.5", pids = 200, read = "10M", write = "20M", on_oom = "hold" }
vram = "4G"
gpus = 2
tokens = "200k"
budget = { usd = 1, requests = 5 }
observe = "codex"
when_reserved = "model:small"
group = { name = "g", place = 7 }
labels = { team = "a" }
sockets = ["127.0.0.1:{port}", { address = "unix:/tmp/s", kind = "datagram", name = "n", backlog = 9, mode = "0660" }]
kept_fds = 4
nice = 5
ionice = "best-effort:7"
oom_score = 100
umask = "027"
pty = false
log = { order = "ordered", size = "64M", age = "none" }
rights = "owner"
profiles = ["debug"]
[groups.g]
strategy = "one_for_all"
"""


def test_every_key_of_an_entry_arrives(told: Callable[..., Any]) -> None:
    wanted = told(EVERYTHING).wanted("s")
    expected = SpecPart(
        argv=[b"prog", b"two words", b"{port}"],
        cwd=b"/work/demo/sub",
        name="s",
        secrets=["OPENAI_API_KEY"],
        secret_sources={
            "T": SecretPart(file=b"/home/me/t"),
            "U": SecretPart(command=[b"pass", b"show", b"u"]),
            "V": SecretPart(keyring="mail/me"),
        },
        needs=[NeedPart(name="db"), NeedPart(name="db", until="started", timeout_s=30.0)],
        ready=ProbePart(url="http://127.0.0.1:{port}/", every_s=0.5, timeout_s=2.0, failures=5),
        live=ProbePart(address="unix:/run/s", failures=2),
        check=[b"sh", b"-c", b"test -s out"],
        before=[b"make", b"db"],
        after=[b"sh", b"-c", b"echo $AISH_EXIT_CODE"],
        restart="always",
        restarts=RestartPart(delay_s=1, longest_s=60, most=3, window_s=120, stable_s=300),
        start_timeout_s=10,
        run_timeout_s=3600,
        hook_timeout_s=60,
        stop_signal=2,
        grace_s=30,
        limits=LimitPart(
            memory_bytes=8 << 30,
            cpus=1.5,
            pids=200,
            read_bytes_per_s=10 << 20,
            write_bytes_per_s=20 << 20,
            on_oom="hold",
        ),
        vram_bytes=4 << 30,
        gpu_count=2,
        budget_tokens=200_000,
        budget=BudgetPart(usd=1.0, requests=5),
        observe="codex",
        when_reserved="model:small",
        group=GroupPart(name="g", strategy="one_for_all", place=7),
        labels={"team": "a"},
        sockets=[
            SocketPart(address="127.0.0.1:{port}"),
            SocketPart(address="unix:/tmp/s", kind="datagram", name="n", backlog=9, mode=0o660),
        ],
        kept_fds_most=4,
        ionice="best-effort:7",
        oom_score_adj=100,
        log="ordered",
        log_bytes=64 << 20,
        log_age_s=0,
        rights="owner",
        project="/work/demo/aish.toml",
        digest=wanted.spec.digest,
    )
    assert wanted.spec == expected
    want.check_spec(wanted.spec)
    assert (wanted.nice, wanted.umask, wanted.inherit) == (5, 0o027, ["SSH_AUTH_SOCK"])
    assert wanted.declared == {"A": "1"}
    assert wanted.entry.profiles == ["debug"]


@pytest.mark.parametrize(
    ("said", "part"),
    [
        ('"open"', SandboxPart(profile="open")),
        (
            '{profile="dev", write=["out"], read=["/data"], hide=[".env"], hosts=["*.org"], models=false,spawn=true}',
            SandboxPart(
                profile="dev",
                write=[b"/work/demo/out"],
                read=[b"/data"],
                hide=[b"/work/demo/.env"],
                hosts=["*.org"],
                models=False,
                spawn=True,
            ),
        ),
    ],
)
def test_a_sandbox_arrives(told: Callable[..., Any], said: str, part: SandboxPart) -> None:
    """It goes with no rights of the owner, so it is not in the entry above."""
    assert told(f'[services.s]\ncommand = "x"\nsandbox = {said}\n').wanted("s").spec.sandbox == part


def test_no_key_is_missing_above() -> None:
    """A key that is added to the schema must be shown to arrive."""
    own = {"command", "shell", "env_file", "sandbox"}
    said = {line.partition(" = ")[0] for line in EVERYTHING.splitlines() if " = " in line}
    assert set(schema.SERVICE.keys) - own <= said


@pytest.mark.parametrize(
    ("section", "restart"), [("services", "on-failure"), ("agents", "never"), ("schedules", "never")]
)
def test_what_is_restarted_without_being_told(told: Callable[..., Any], section: str, restart: str) -> None:
    cron = 'cron = "0 3 * * *"' if section == "schedules" else ""
    assert told(f'[{section}.x]\ncommand = "x"\n{cron}').wanted("x").spec.restart == restart


def test_a_schedule(told: Callable[..., Any]) -> None:
    spec = (
        told('[schedules.x]\ncommand="x"\ncron="0 3 * * *"\ntimezone="Europe/Berlin"\nmissed="once"').wanted("x").spec
    )
    assert spec.schedule == SchedulePart(cron="0 3 * * *", timezone="Europe/Berlin", missed="once")
    want.check_spec(spec)


def test_models(told: Callable[..., Any]) -> None:
    found = told(
        '[models.stored]\nvram = "8G"\n[models.own]\ncommand = "serve --port {port}"\ncontext = "32k"\n'
        'upstream = "u"\n'
        '[models.far]\nurl = "https://host/v1"\nkey_file = "key"'
    )
    stored, own, far = (found.wanted(name).spec for name in ("stored", "own", "far"))
    assert (stored.kind, stored.argv, stored.route, stored.restart) == ("model", [], None, "on-failure")
    assert own.route is not None
    assert (own.route.url, own.route.context_tokens, own.route.upstream_name, own.restart) == (
        "http://127.0.0.1:{port}/v1", 32_000, "u", "on-failure",
    )  # fmt: skip
    assert far.route is not None
    assert (far.route.key_file, far.argv, far.restart) == ("/work/demo/key", [], "never")
    want.check_spec(own)
    want.check_spec(far)


def test_whose_login_and_key(told: Callable[..., Any]) -> None:
    found = told(
        '[models.a]\nurl = "https://host/v1"\nkey = {command = "pass show x"}\n'
        '[models.b]\nurl = "https://host/v1"\nkey = {file = "~/key"}\n'
        '[models.c]\nurl = "https://host/v1"\nlogin = "client"\nupstream = "claude-*"\n'
        'proxy = "http://p:1"\nca_file = "ca.pem"\nconcurrent = 4'
    )
    routes = [found.wanted(name).spec.route for name in "abc"]
    assert routes[0].key == SecretPart(command=[b"pass", b"show", b"x"])
    assert routes[1].key.file.endswith(b"/key")
    assert routes[1].key.file.startswith(b"/")
    assert (routes[2].login, routes[2].upstream_name) == ("client", "claude-*")
    assert (routes[2].proxy, routes[2].ca_file) == ("http://p:1", "/work/demo/ca.pem")
    assert [route.concurrent for route in routes] == [None, None, 4]
    for name in "abc":
        want.check_spec(found.wanted(name).spec)


def test_nothing_is_something_that_can_be_said(told: Callable[..., Any]) -> None:
    """What is free, ends at once or may ask nothing was refused, though the daemon takes it: 'expected … above 0'."""
    found = told(
        '[models.m]\nurl = "https://api.anthropic.com"\nprice = {input = 0, output = "0", hour = 0.0}\n'
        '[services.s]\ncommand = "x"\nstop.grace = "0s"\ntokens = 0\n'
        "budget = {usd = 0, requests = 0, rpm = 0, day = {tokens = 0, usd = 0}}\n"
        "[budget]\ntokens = 0\n"
    )
    route, spec = found.wanted("m").spec.route, found.wanted("s").spec
    assert route is not None
    assert route.price == PricePart()
    assert (spec.grace_s, spec.budget_tokens) == (0, 0)
    assert spec.budget == BudgetPart(usd=0, requests=0, requests_per_minute=0, tokens_per_day=0, usd_per_day=0)
    want.check_spec(spec)
    want.check_spec(found.wanted("m").spec)


def test_what_a_model_costs_and_what_may_be_asked(told: Callable[..., Any]) -> None:
    found = told(
        '[models.m]\nurl = "https://api.anthropic.com"\nprice = {input = 3, output = "15", cached = 0.3}\n'
        '[services.s]\ncommand = "x"\nbudget = {usd = 2.5, requests = "1k", rpm = 30, input = 5000, hard = true}\n'
    )
    route = found.wanted("m").spec.route
    assert route is not None
    assert (route.dialect, route.price) == ("anthropic", PricePart(input_usd=3, output_usd=15, cached_usd=0.3))
    assert found.wanted("s").spec.budget == BudgetPart(
        usd=2.5, requests=1000, requests_per_minute=30, input_tokens=5000, hard=True
    )


def test_who_answers_in_its_place_may_change_while_it_runs(told: Callable[..., Any]) -> None:
    """Of a model of the store, too: it need not be loaded again for that."""
    text = '[models.stored]\n{0}\n[models.far]\nurl = "https://host/v1"\n{0}\n'
    before = told(text.format('fallback = ["other"]\nretries = 2'))
    after = told(text.format('fallback = ["other", "last"]'))
    for name in ("stored", "far"):
        spec, later = before.wanted(name).spec, after.wanted(name).spec
        assert spec.failover == FailoverPart(fallback=["other"], retries=2)
        assert later.failover == FailoverPart(fallback=["other", "last"])
        assert not same(spec.digest, later.digest)
        assert same_run(spec.digest, later.digest)
    assert told('[models.far]\nurl = "https://host/v1"').wanted("far").spec.failover is None
    with pytest.raises(InputError, match="cannot fall back to itself"):
        want.check_spec(told('[models.far]\nurl = "https://host/v1"\nfallback = ["far"]').wanted("far").spec)


def test_an_agent_that_is_a_program_is_run_by_its_host_with_all_that_its_file_says(told: Callable[..., Any]) -> None:
    """It was run as one that turns text into text; of its limits only tokens were taken over, of its secrets none."""
    head = "adapter: claude\nlimits: {usd: 2, rpm: 30, children: 4, wall: 1h, tokens: 9k}\nsecrets: [GH_TOKEN]\n"
    agent = parse_agent(f"---\n{head}sandbox: closed\n---\nDo it.", "/a/sum.md")
    entry = '[agents.x]\nagent = "sum"\nwords = "be short"\nkeys = ["K"]\n'
    entry += 'budget = { usd = 1 }\nlimits = { memory = "1G" }'
    spec = told(entry).wanted("x", agent=agent, agent_digest="1").spec
    assert is_host(spec.argv)
    assert spec.argv[-2:] == [b"be", b"short"]
    assert spec.budget is not None
    assert (spec.budget.usd, spec.budget.requests_per_minute, spec.budget_tokens) == (1.0, 30, 9000)
    assert spec.limits == LimitPart(memory_bytes=1 << 30, children=4)
    assert (spec.run_timeout_s, spec.secrets) == (3600.0, ["K", "GH_TOKEN"])
    assert spec.sandbox is not None
    assert (spec.sandbox.profile, spec.sandbox.hosted) == ("closed", True)
    other = told(entry + '\nsandbox = "open"').wanted("x", agent=agent, agent_digest="1").spec.sandbox
    assert other is not None
    assert (other.profile, other.hosted) == ("open", True)


def test_an_agent_file_with_an_input(told: Callable[..., Any]) -> None:
    agent = parse_agent("---\nmodel: big\nlimits:\n  tokens: 50k\n---\nDo it.", "/a/sum.md")
    found = told('[agents.x]\nagent = "sum"\nwords = "be short"\ninput = "in.txt"')
    spec = found.wanted("x", agent=agent, agent_digest="1").spec
    assert spec.argv[:4] == [b"sh", b"-c", b'exec "$@" <"$0"', b"/work/demo/in.txt"]
    assert spec.argv[-3:] == [b"--", b"be", b"short"]
    assert (spec.kind, spec.model, spec.budget_tokens) == ("agent", "big", 50_000)
    assert found.wanted("x", agent=agent, agent_digest="2").spec.digest != spec.digest


def test_devices_of_an_agent_as_of_any_process(told: Callable[..., Any]) -> None:
    """What the entry says goes before what the agent's file says, word by word."""
    agent = parse_agent("---\nlimits: {vram: 8G, gpus: 2}\n---\nDo it.", "/a/sum.md")

    def asked(entry: str) -> tuple[int, int]:
        spec = told(f'[agents.x]\nagent = "sum"\n{entry}').wanted("x", agent=agent, agent_digest="1").spec
        return spec.vram_bytes, spec.gpu_count

    assert [asked(entry) for entry in ("", "gpus = 4", 'vram = "4G"')] == [(8 << 30, 2), (8 << 30, 4), (4 << 30, 2)]


BASE = '[services.x]\ncommand = "x"\nenv = { A = "1" }\nlimits = { pids = 5 }\n'


@pytest.mark.parametrize(
    ("text", "run", "rest"),
    [
        (BASE + "# a comment", True, True),
        (BASE.replace('"x"\n', '["x"]\n'), True, True),
        (BASE.replace("5", "6"), True, False),
        (BASE.replace('"1"', '"2"'), False, True),
        (BASE + "nice = 3", False, True),
        (BASE + 'inherit = ["B"]', False, True),
        (BASE + 'cwd = "y"\nlabels = { a = "b" }', False, False),
        (BASE.replace("services", "schedules") + 'cron = "* * * * *"', False, False),
    ],
)
def test_the_digest_tells_what_changed(told: Callable[..., Any], text: str, run: bool, rest: bool) -> None:
    before, after = (told(each).wanted("x").spec.digest for each in (BASE, text))
    assert (before[:64] == after[:64]) is run
    assert (before[64:] == after[64:]) is rest or "schedules" in text


def test_the_digest_does_not_hang_on_the_caller(told: Callable[..., Any]) -> None:
    one, other = (told(BASE, PATH=path, TERM=path).wanted("x") for path in ("/a", "/b"))
    assert one.spec.digest == other.spec.digest
    assert one.environ({"PATH": "/p", "TERM": "xterm", "OPENAI_API_KEY": "sk", "LC_ALL": "C", "X": "1"}) == {
        "PATH": "/p",
        "LC_ALL": "C",
        "A": "1",
    }


def test_a_new_field_of_a_later_version_changes_no_digest(told: Callable[..., Any]) -> None:
    """Fields at their default are left out: an upgrade restarts nothing."""
    spec = told(BASE).wanted("x").spec
    assert "ionice" not in msgspec.to_builtins(spec)
