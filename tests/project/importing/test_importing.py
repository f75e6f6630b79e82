"""Other supervisors' files: what is taken over is right, and what is not is told."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.errors import SourceError
from aish.project.importing import imported, kind_of, systemd_unit
from aish.project.importing.calendar import cron
from aish.project.importing.draft import Draft, plain, toml
from aish.project.importing.fitting import fit
from aish.project.importing.unit_file import seconds

if TYPE_CHECKING:
    from collections.abc import Callable


def taken(*sources: tuple[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Tables, and what was left as `what: why`."""
    found = imported([(name, kind_of(name) or "", text.encode()) for name, text in sources])
    return tomllib.loads(found.text), [f"{left.what}: {left.why}" for left in found.left]


def test_a_procfile() -> None:
    tables, left = taken(
        (
            "Procfile",
            "# c\nweb: rails s -p $PORT\nworker: env QUEUE=* rake\nplain: prog a b\nrelease: ./m\nnonsense\n",
        )
    )
    assert tables["services"] == {
        "web": {"shell": "rails s -p $PORT"},
        "worker": {"shell": "env QUEUE=* rake"},
        "plain": {"command": "prog a b"},
        "release": {"command": "./m", "restart": "never"},
    }
    assert [line.partition(":")[0] for line in left] == ["web", "release", "line 6"]


COMPOSE = """
x-common: &common
  restart: unless-stopped
  environment: { A: "1", SHELL: null, B: }
services:
  db: { image: postgres, volumes: [d:/x] }
  api:
    <<: *common
    build: .
    command: python -m api --port ${PORT:-80} $HOST
    depends_on:
      db: { condition: service_healthy }
      migrate: { condition: service_completed_successfully }
    healthcheck: { test: [CMD-SHELL, "curl -f localhost || exit 1"], interval: 1m30s, retries: 5 }
    stop_grace_period: 20s
    deploy: { resources: { limits: { cpus: "0.5", memory: 512M } }, replicas: 2 }
    ports: ["80:80"]
  migrate: { entrypoint: [python], command: [migrate.py], environment: [B=2, HOME], profiles: [tools] }
volumes: { d: }
"""


def test_a_compose_file(told: Callable[..., Any]) -> None:
    tables, left = taken(("compose.yaml", COMPOSE))
    assert tables["services"] == {
        "api": {
            "command": ["python", "-m", "api", "--port", "${PORT:-80}", "${HOST:-}"],
            "env": {"A": "1", "SHELL": "${SHELL:-}", "B": "${B:-}"},
            "needs": [{"name": "migrate", "until": "completed"}],
            "ready": {"exec": "curl -f localhost || exit 1", "every": "90s", "failures": 5},
            "restart": "always",
            "stop": {"grace": "20s"},
            "limits": {"memory": "512M", "cpus": "0.5"},
        },
        "migrate": {
            "command": ["python", "migrate.py"],
            "env": {"B": "2", "HOME": "${HOME:-}"},
            "restart": "never",
            "profiles": ["tools"],
        },
    }
    assert told(imported([("c", "compose", COMPOSE.encode())]).text).problems == []
    for what in (
        "db: it runs what its image says",
        "api.build",
        "api.ports",
        "api.deploy.replicas",
        "volumes",
        "db, ",
    ):
        assert any(what in line for line in [*left, "db, "]), what
    assert "api: its need of db: that is not among what is imported" in left


def test_a_limit_of_compose_that_is_said_twice_is_told() -> None:
    """`mem_limit` beside the limits of `deploy` was told as a key that nobody knows."""
    deploy = "deploy: { resources: { limits: { memory: 512M, pids: 9 } } }"
    text = f"services: {{ a: {{ command: run, mem_limit: 1g, pids_limit: 9, {deploy} }} }}"
    tables, left = taken(("compose.yaml", text))
    assert tables["services"]["a"]["limits"] == {"memory": "512M", "pids": "9"}
    assert left == ["a.mem_limit: deploy.resources.limits.memory says 512M"]


@pytest.mark.parametrize(
    ("source", "gone"),
    [
        ("[Service]\nExecStart=/bin/a\nMemoryMax=0\nTasksMax=0\nCPUQuota=0%", "a.limits."),
        ("[Service]\nExecStart=/bin/a\nKillSignal=SIGRTMIN+99\nTimeoutStopSec=2h", "a.stop."),
        ("[Service]\nExecStart=/bin/a\nRestart=always\nRestartSec=1us\nNice=20\nFileDescriptorStoreMax=999", "a."),
        ("services: { a: { command: run, healthcheck: { test: '', retries: 5000 }, cpus: 0.001 } }", "a."),
        ("services: { a: { command: run, env_file: [ok, ''], stop_grace_period: 3h } }", "a."),
    ],
)
def test_what_aish_toml_does_not_take_is_told_and_not_written(
    told: Callable[..., Any], source: str, gone: str
) -> None:
    """Others' bounds are other ones: `import > aish.toml` made files that `project check` refused."""
    name = "a.service" if source.startswith("[") else "compose.yaml"
    found = imported([(name, kind_of(name) or "", source.encode())])
    assert told(found.text).problems == []
    assert list(tomllib.loads(found.text)["services"]) == ["a"]
    assert [left.what for left in found.left if left.what.startswith(gone) and "expected" in left.why]


def test_a_key_that_is_wrong_with_its_value_is_left_once() -> None:
    """The import broke off where it took the same key out a second time."""
    draft = Draft()
    draft.entry("services", "a", "a.yml").update(command=["x"], env={"A-B": "v\0w", "C": "d"})
    fit(draft)
    assert draft.entries["services", "a"] == {"command": ["x"], "env": {"C": "d"}}
    (left,) = draft.left
    assert left.what == "a.env.A-B"
    assert "name of a variable" in left.why


def test_a_name_that_is_none_here_is_another_one_wherever_it_is_needed() -> None:
    """`gateway` is a word of aish's own, p7 an id: nobody could bring them up."""
    needs = "{ gateway: { condition: service_healthy }, p7: { condition: service_started } }"
    text = (
        f"services: {{ gateway: {{ command: a }}, p7: {{ command: b }}, c: {{ command: c, depends_on: {needs} }} }}"
    )
    tables, left = taken(("compose.yaml", text))
    assert list(tables["services"]) == ["gateway-2", "process-p7", "c"]
    assert tables["services"]["c"]["needs"] == ["gateway-2", {"name": "process-p7", "until": "started"}]
    assert left == ["gateway: it is called gateway-2 now", "p7: it is called process-p7 now"]


PROCESSES = """
processes:
  a:
    command: echo $X && sleep 1
    working_dir: sub
    availability: { restart: on_failure, backoff_seconds: 2, max_restarts: 5 }
    readiness_probe: { http_get: { port: 8080, path: /h }, period_seconds: 3 }
    shutdown: { signal: 2, timeout_seconds: 7 }
    odd: 1
  b: { command: sleep 5, depends_on: { a: { condition: process_healthy } } }
"""


@pytest.mark.parametrize(
    "labels", ["{ team: web, tier: '${TIER:-1}', empty: '' }", "[team=web, 'tier=${TIER:-1}', empty]"]
)
def test_labels_and_the_oom_score_of_compose_are_taken(labels: str) -> None:
    """They were told as keys that aish.toml does not have."""
    text = f"services: {{ s: {{ command: x, labels: {labels}, oom_score_adj: -500 }} }}"
    tables, left = taken(("c.yml", text))
    assert left == []
    assert tables["services"]["s"]["labels"] == {"team": "web", "tier": "${TIER:-1}", "empty": ""}
    assert tables["services"]["s"]["oom_score"] == -500


def test_labels_that_a_process_cannot_have_are_told_one_by_one() -> None:
    many = ", ".join(f"k{number}: v" for number in range(40))
    text = f"services: {{ s: {{ command: x, labels: {{ 'a b': c, good: yes, {many} }}, oom_score_adj: 5000 }} }}"
    tables, left = taken(("c.yml", text))
    assert len(tables["services"]["s"]["labels"]) == 32
    assert tables["services"]["s"]["labels"]["good"] == "yes"
    assert left[0] == "s.labels.a b: not a label's key: 'a b'"
    assert left[1:10] == [f"s.labels.k{number}: at most 32 labels" for number in range(31, 40)]
    assert left[10].startswith("s.oom_score_adj: 5000")
    assert len(left) == 11


def test_a_file_of_process_compose() -> None:
    tables, left = taken(
        (
            "pc.yaml",
            PROCESSES,
        )
    )
    assert tables["services"]["a"] == {
        "shell": "echo ${X:-} && sleep 1",
        "cwd": "sub",
        "ready": {"http": "http://127.0.0.1:8080/h", "every": "3s"},
        "restart": {"policy": "on-failure", "delay": "2s", "most": 5},
        "stop": {"signal": "2", "grace": "7s"},
    }
    assert tables["services"]["b"] == {"command": "sleep 5", "needs": ["a"], "restart": "never"}
    assert left == ["a.odd: there is no such key in aish.toml"]


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "- a",
        "services: 3",
        "a: " + "[" * 200,
        "a: &a [" + "x," * 60_000 + "]",
        "? {a: b}\n: c",
        "a: \x01",
        "services: {a: {command: x, <<: *nobody}}",
    ],
    ids=lambda text: text[:12],
)
def test_hostile_yaml_is_refused(text: str) -> None:
    with pytest.raises(SourceError):
        taken(("compose.yaml", text))


def test_a_bomb_of_merges_does_not_go_off() -> None:
    """Twice as many keys a line: 2^60 of them."""
    lines = ["a0: &a0 { command: x }"]
    lines += [f"a{number}: &a{number} {{ <<: [*a{number - 1}, *a{number - 1}] }}" for number in range(1, 60)]
    tables, _ = taken(("c.yml", "\n".join(lines) + "\nservices: { s: { <<: *a59, command: y } }\n"))
    assert tables["services"]["s"]["command"] == ["y"]


UNIT = """
[Unit]
Description=App
After=network.target db.service other.service
Requires=db.service
StartLimitBurst=5
StartLimitIntervalSec=1min 30s
[Service]
Type=notify
User=www
ExecStartPre=-/bin/mkdir -p /tmp/x
# between
ExecStart=/usr/bin/app --port $PORT \\
   --name "%h/x y"
Environment=PORT=80 "NAME=two words"
EnvironmentFile=-/etc/default/app
PassEnvironment=LANG
Restart=on-abnormal
RestartSec=5
TimeoutStopSec=20
KillSignal=SIGINT
MemoryMax=1G
CPUQuota=150%
TasksMax=100
Nice=5
OOMScoreAdjust=-100
UMask=0027
LimitNOFILE=65536
WatchdogSec=30s
[Install]
WantedBy=multi-user.target
"""


def test_systemd_units(told: Callable[..., Any]) -> None:
    tables, left = taken(
        ("/etc/app.service", UNIT),
        ("db.service", '[Service]\nExecStart=/usr/bin/db -D "a b"\n'),
        ("db.socket", "[Socket]\nListenStream=8080\nListenStream=/run/x.sock\nSocketMode=0660\nAccept=no\n"),
        ("tidy.service", "[Service]\nType=oneshot\nExecStart=/bin/a\nExecStart=/bin/b c\n"),
        ("tidy.timer", "[Timer]\nOnCalendar=Mon..Fri *-*-* 03:30\nPersistent=true\nRandomizedDelaySec=5m\n"),
        ("lone.timer", "[Timer]\nOnCalendar=daily\n"),
    )
    assert tables["services"]["app"] == {
        "shell": 'exec /usr/bin/app --port $PORT --name "${HOME}/x y"',
        "env": {"PORT": "80", "NAME": "two words"},
        "env_file": ["/etc/default/app"],
        "inherit": ["LANG"],
        "umask": "0027",
        "nice": 5,
        "oom_score": -100,
        "ready": {"notify": True},
        "live": {"notify": True, "timeout": "30s"},
        "restart": {"policy": "on-failure", "delay": "5s", "most": 5, "window": "90s"},
        "stop": {"signal": "SIGINT", "grace": "20s"},
        "limits": {"memory": "1G", "cpus": "1.5", "pids": "100"},
        "needs": ["db"],
        "before": "/bin/mkdir -p /tmp/x",
    }
    assert tables["services"]["db"]["command"] == ["/usr/bin/db", "-D", "a b"]
    assert tables["services"]["db"]["sockets"] == [
        {"address": "0.0.0.0:8080", "kind": "stream", "mode": "0660"},
        {"address": "unix:/run/x.sock", "kind": "stream", "mode": "0660"},
    ]
    assert tables["schedules"]["tidy"] == {
        "cron": "30 3 * * 1-5",
        "missed": "once",
        "shell": "/bin/a && /bin/b c",
        "restart": "never",
    }
    for what in ("User=www", "LimitNOFILE", "WantedBy", "EnvironmentFile=-", "ExecStartPre=-", "Restart=on-abnormal"):
        assert any(what in line for line in left), what
    for what in ("RandomizedDelaySec", "Accept=no", "lone.service", "After=other.service"):
        assert any(what in line for line in left), what


def test_specifiers_in_hooks_and_sockets_are_put_in_or_told() -> None:
    """A hook of `mkdir %t/foo` made a folder called %t, and nobody was told."""
    hooks = "ExecStartPre=/bin/mkdir -p %t/foo\nExecStartPre=/bin/echo 5%% %i\nExecStopPost=/bin/rm -r %t/foo\n"
    tables, left = taken(
        ("a.service", f"[Service]\nExecStart=/bin/a\n{hooks}"),
        ("a.socket", "[Socket]\nListenStream=%t/foo.sock\nListenStream=/run/%j.sock\n"),
    )
    assert tables["services"]["a"] == {
        "command": ["/bin/a"],
        "restart": "never",
        "before": "/bin/mkdir -p ${XDG_RUNTIME_DIR}/foo && /bin/echo 5% %i",
        "after": "/bin/rm -r ${XDG_RUNTIME_DIR}/foo",
        "sockets": [
            {"address": "unix:${XDG_RUNTIME_DIR}/foo.sock", "kind": "stream"},
            {"address": "unix:/run/%j.sock", "kind": "stream"},
        ],
    }
    assert left == [f"{word}: what systemd puts there is not known here" for word in ("%i", "%j")]


@pytest.mark.parametrize("key", ["StandardOutput", "StandardError"])
def test_output_that_went_to_a_file_is_told(key: str) -> None:
    """The file was not written any more, and nobody was told."""
    for where in ("file:/tmp/x", "append:/tmp/x", "truncate:/tmp/x", "null", "journal+console", "tty", "fd:out"):
        _, left = taken(("a.service", f"[Service]\nExecStart=/bin/a\n{key}={where}\n"))
        assert [line.partition(": ")[0] for line in left] == [f"{key}={where}"]
        assert "`aish logs a`" in left[0]
    for where in ("journal", "inherit", "syslog"):
        assert taken(("a.service", f"[Service]\nExecStart=/bin/a\n{key}={where}\n"))[1] == []


@pytest.mark.parametrize("text", ["[Service", "ExecStart=x", "[Service]\nnonsense\n"])
def test_what_is_no_unit_has_its_line(text: str) -> None:
    with pytest.raises(SourceError) as caught:
        taken(("x.service", text))
    assert caught.value.line


@pytest.mark.parametrize(
    ("event", "line"),
    [
        ("daily", "0 0 * * *"),
        ("weekly", "0 0 * * 1"),
        ("*-*-* 04:05:00", "5 4 * * *"),
        ("03:30", "30 3 * * *"),
        ("Mon,Wed 12:00", "0 12 * * 1,3"),
        ("Mon..Fri *-*-* 03:30", "30 3 * * 1-5"),
        ("Sat..Sun 1:00", "0 1 * * 6-7"),
        ("*-*-1,15 00:00", "0 0 1,15 * *"),
        ("*:0/15", "*/15 * * * *"),
        ("*-1..3-* 8..17:00", "0 8-17 * 1-3 *"),
        ("2030-01-01 00:00", None),
        ("*-*-* 04:05:30", None),
        ("Mon *-*-1 00:00", None),
        ("*-*-* 04:05 UTC", None),
        ("Blursday", None),
        ("", None),
    ],
)
def test_calendar_events(event: str, line: str | None) -> None:
    assert cron(event) == line


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("5", "5s"),
        ("1min 30s", "90s"),
        ("2h", "7200s"),
        ("100ms", "0.1s"),
        ("infinity", None),
        ("0", None),
        (None, None),
    ],
)
def test_time_spans(text: str | None, span: str | None) -> None:
    assert seconds(text) == span


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20).filter(lambda text: "\0" not in text and text))
def test_what_is_imported_is_what_was_there(text: str) -> None:
    """Whatever is in it: not expanded by aish.toml, not broken by TOML."""
    from aish.config.problem import Problems
    from aish.project.expand import Expander

    draft = Draft()
    draft.entry("services", "x", "f")["command"] = [plain(text)]
    read = tomllib.loads(toml(draft))["services"]["x"]["command"][0]
    assert Expander({}, Problems()).text(read, None, ()) == text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("unit", "shell"),
    [
        ("a ${B} $B", 'a "${B}" $B'),
        ('a "x ${B}"', 'a "x ${B}"'),
        ("a 'x ${B}'", "a 'x '\"${B}\"''"),
        ("a x${B}y", 'a x"${B}"y'),
        ('a "it\'s ${B}" ${C}', 'a "it\'s ${B}" "${C}"'),
    ],
)
def test_a_variable_of_a_unit_stays_one_word(unit: str, shell: str) -> None:
    """In a shell it would fall apart at its blanks."""
    assert systemd_unit.unsplit(unit) == shell
