"""Every key of aish.toml, once: checking, the JSON schema and the reference page come from here."""

from __future__ import annotations

from typing import Final

from aish.model import dialect, label, sandbox, spec
from aish.project.compound import Either, Key, ListOf, MapOf, Table
from aish.project.value import (
    Choice,
    Command,
    Flag,
    Host,
    Mode,
    Number,
    Signal,
    Text,
    cores,
    count,
    dollars,
    size,
    time,
)

NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}"
VARIABLE: Final = r"[A-Za-z_][A-Za-z0-9_]*"
GROUP_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
NAME_HINT: Final = "letters, digits and . _ : / + -, the first one a letter or digit, 128 at most"
GROUP_HINT: Final = "letters, digits and . _ -, the first one a letter or digit, 64 at most"
VARIABLE_HINT: Final = "letters, digits and _, the first one no digit"
_NAME: Final = Text('a name like "api"', NAME, hint=NAME_HINT)
_GROUP: Final = Text('the name of a group like "front"', GROUP_NAME, hint=GROUP_HINT)
_VARIABLE: Final = Text('the name of a variable like "SSH_AUTH_SOCK"', VARIABLE, hint=VARIABLE_HINT)
_PATH: Final = Text('a path like "data/input.txt"')
_ENV: Final = MapOf(
    Text("a text in quotes", empty=True, private=True), "the name of a variable", VARIABLE, hint=VARIABLE_HINT
)
_ADDRESS: Final = r"unix:/.+|[^\s/]+:(\d{1,5}|\{port\})"

_PROBE_TIMES: Final = (
    Key("every", time(least="0.01s"), "Between two probes.", "1s"),
    Key("timeout", time(least="0.01s"), "Of one probe; with notify within which WATCHDOG=1 must come.", "5s"),
    Key("failures", Number(1, spec.MOST_TIMES), "So many in a row mean that it does not do its job any more.", "3"),
)
_PROBES: Final = (
    Key(
        "http", Text('a URL like "http://127.0.0.1:{port}/health"', r"https?://.+"), "A GET answered with 200 to 399."
    ),
    Key("tcp", Text('HOST:PORT like "127.0.0.1:{port}"', _ADDRESS), "An address that accepts a connection."),
    Key("unix", Text('a path like "/run/app.sock"', r"/.+"), "A Unix socket that accepts a connection."),
    Key("exec", Command(hook=True), "A command that ends with 0."),
    Key("notify", Flag(), "It tells by itself: sd_notify(3)."),
)
_LOG_LINE: Final = Key("log", Text(), "A text that a line of its output holds.")
_PROBE_WORDS: Final = {"command": "exec", "url": "http", "interval": "every", "retries": "failures"}
READY: Final = Table(
    *_PROBES,
    _LOG_LINE,
    *_PROBE_TIMES,
    one_of=[("http", "tcp", "unix", "exec", "notify", "log")],
    elsewhere={"line": "log", **_PROBE_WORDS},
    example='{ http = "http://127.0.0.1:{port}/health" } or { log = "listening" }',
)
LIVE: Final = Table(
    *_PROBES,
    *_PROBE_TIMES,
    one_of=[("http", "tcp", "unix", "exec", "notify")],
    elsewhere=_PROBE_WORDS,
    example='{ http = "http://127.0.0.1:{port}/health" } or { notify = true }',
)

NEED: Final = Table(
    Key("name", _NAME, "What it waits for."),
    Key("until", Choice(*spec.UNTIL), "started, ready, or completed: ended successfully.", "ready"),
    Key("timeout", time(), "Then it fails, and says so.", "it waits"),
    needed=["name"],
)
RESTART: Final = Table(
    Key("policy", Choice(*spec.RESTARTS), "When it is started again.", "as without a table"),
    Key(
        "delay",
        time(),
        "Before the second restart; the first comes at once, each further one waits twice as long.",
        "0.1s",
    ),
    Key("longest", time(), "The longest delay.", "30s, or `delay` where that is longer"),
    Key("most", Number(0, spec.MOST_TIMES), "So many within `window` are a crash loop; it has failed then.", "8"),
    Key("endless", Flag(), "true: never a crash loop.", "false"),
    Key("window", time(), "See `most`.", "60s"),
    Key("stable", time(), "A run of this length starts the count afresh.", "60s"),
)
TIMEOUTS: Final = Table(
    Key("start", time(), "Until it is ready; then it has failed."),
    Key("run", time(), "Of one run; then it is stopped for good."),
    Key("hook", time(), "Of before, after and check, each.", "5m"),
)
STOP: Final = Table(
    Key("signal", Signal(), "How it is asked to end.", "TERM"),
    Key("grace", time(most="1h", zero=True), "From that signal to SIGKILL; 0s: at once.", "10s"),
)
LIMITS: Final = Table(
    Key("memory", size(least="64K"), "Of its whole tree."),
    Key("cpus", cores(least="0.01", most="4096"), "Cores' worth of time."),
    Key("pids", count(most="4194304"), "Processes and threads of its whole tree."),
    Key("read", size(least="64K"), "Bytes a second from each disk."),
    Key("write", size(least="64K"), "Bytes a second to each disk."),
    Key("on_oom", Choice(*spec.ON_OOM), "At its limit of memory: kill it, or hold it there.", "kill"),
    Key("children", count(zero=True, most=str(spec.MOST_CHILDREN)), "Processes below it at a time, at any depth."),
    Key(
        "depth",
        count(zero=True, most=str(spec.MOST_DEPTH)),
        "Levels of processes below it; 1: what it starts itself.",
    ),
)
PRICE: Final = Table(
    Key("input", dollars(), "US dollars for a million tokens of input."),
    Key("output", dollars(), "The same of output."),
    Key("cached", dollars(), "The same of input that was read from a cache.", "as input"),
    Key("written", dollars(), "The same of input that was written to one.", "as input"),
    Key("hour", dollars(), "For an hour of answering: energy, a rented machine."),
    example="{ input = 0.5, output = 1.5 }: for a million tokens; what costs nothing has 0",
)
DAY: Final = Table(
    Key("tokens", count(zero=True), "Tokens of input and output."),
    Key("input", count(zero=True), "Tokens of input."),
    Key("output", count(zero=True), "Tokens of output."),
    Key("usd", dollars(most="1000000"), "US dollars."),
    Key("requests", count(zero=True), "Requests."),
)
_BUDGET: Final = (
    Key("input", count(zero=True), "Tokens of input."),
    Key("output", count(zero=True), "Tokens of output."),
    Key("usd", dollars(most="1000000"), "US dollars."),
    Key("requests", count(zero=True), "Requests."),
    Key("day", DAY, 'The same sums, and `tokens`, from midnight to midnight: { usd = 5, tokens = "2M" }.'),
    Key("rpm", count(zero=True), "Requests in a minute; more of them wait for their turn, hard or not."),
    Key("concurrent", count(zero=True), "Requests at a time; more of them wait for their turn, hard or not."),
    Key("context", count(zero=True), "Tokens that one request may hold, its answer included."),
    Key(
        "hard",
        Flag(),
        "Refuse what would else be held until the budget is raised. Above 0, rpm and concurrent refuse nothing.",
        "false",
    ),
)
BUDGET: Final = Table(*_BUDGET)
PROJECT_BUDGET: Final = Table(Key("tokens", count(zero=True), "Tokens of input and output."), *_BUDGET)
LOG: Final = Table(
    Key(
        "order",
        Choice(*spec.LOGS),
        "split: stdout and stderr have a file each. ordered: one file, exact order.",
        "split",
    ),
    Key("size", size("none", least="64K"), "How much of it stays.", "as configured"),
    Key("age", time("none", least="1s"), "How long it stays.", "as configured"),
)
SOCKET: Final = Table(
    Key("address", Text('HOST:PORT or "unix:/PATH"', _ADDRESS), "Where it listens; {port} is the leased port."),
    Key("kind", Choice(*spec.SOCKET_KINDS), "What kind of socket.", "stream"),
    Key("name", Text(), "In LISTEN_FDNAMES."),
    Key("backlog", Number(1, spec.MOST_BACKLOG), "Connections that may wait.", "4096"),
    Key("mode", Mode(), "Of a Unix socket's file.", "0600"),
    needed=["address"],
)
SANDBOX: Final = Table(
    Key("profile", Choice(*sandbox.PROFILES), "closed, dev or open.", "closed"),
    Key("write", ListOf(_PATH, sandbox.PATHS_MOST), "What it may write, beside the folder that it is started in."),
    Key("read", ListOf(_PATH, sandbox.PATHS_MOST), "What it may read beside the system and that folder."),
    Key("hide", ListOf(_PATH, sandbox.PATHS_MOST), "What it does not see in any case."),
    Key("hosts", ListOf(Host(), sandbox.HOSTS_MOST), "What it may reach by the proxy; dev: beside those built in."),
    Key("models", Flag(), "false: it may not ask the gateway.", "true"),
    Key("spawn", Flag(), "true: it may start processes, in no wider sandbox than its own.", "false"),
)
SECRET: Final = Table(
    Key("file", _PATH, "Its text without the last line end."),
    Key("command", Command(), "Its stdout without the last line end."),
    Key("keyring", Text('"SERVICE/USER"', r"[^/]+/.+"), "Of the desktop's keyring."),
    one_of=[("file", "command", "keyring")],
)
MEMBER: Final = Table(
    Key("name", _GROUP, "Of the group."),
    Key("place", Number(0, spec.MOST_PLACE), "Its place in the group's order.", "as in the file"),
    needed=["name"],
)

_RUNS: Final = (
    Key("command", Command(), "What is run, without a shell."),
    Key("shell", Text('a line for the shell like "a | b"'), "What `sh -c` runs."),
)
_ENTRY: Final = (
    Key("cwd", _PATH, "Its folder, relative to that of the file.", "that of the file"),
    Key("env", _ENV, "Variables, over those of [env] and env_file."),
    Key("env_file", Either(_PATH, ListOf(_PATH, 16)), "Files of NAME=value lines; later ones win."),
    Key("inherit", ListOf(_VARIABLE), "Variables of the caller that it gets beside the usual ones."),
    Key("keys", ListOf(_VARIABLE), "Provider keys of the caller that it may see."),
    Key(
        "secrets",
        MapOf(SECRET, "the name of a variable", VARIABLE, spec.MOST_SECRETS, VARIABLE_HINT),
        "Variables whose values are fetched at each start.",
    ),
    Key("needs", ListOf(Either(_NAME, NEED), spec.MOST_NEEDS), "What it waits for: names, or tables."),
    Key("ready", READY, "When it is ready.", "when it runs"),
    Key("live", LIVE, "That it does its job; else it is ended and counts as failed."),
    Key("check", Command(hook=True), "Decides success when it has ended with 0."),
    Key("before", Command(hook=True), "Run before each start; if it fails, so does the start."),
    Key("after", Command(hook=True), "Run after each end."),
    Key("restart", Either(Choice(*spec.RESTARTS), RESTART), "When it is started again.", ""),
    Key("timeouts", TIMEOUTS, "How long things may take."),
    Key("stop", STOP, "How it is ended."),
    Key("limits", LIMITS, "Of its whole tree."),
    Key("vram", size(), "GPU memory on each of its devices; it waits until that is free."),
    Key("gpus", Number(1, spec.MOST_GPUS), "On how many devices.", "1"),
    Key(
        "tokens",
        count(zero=True),
        "Input and output at the gateway, with all that it starts. Not of a model: it counts for who asks.",
    ),
    Key("budget", BUDGET, "What else it may ask of models, with all that it starts. Not of a model."),
    Key(
        "observe",
        Choice(*spec.OBSERVED),
        "Its requests do not pass the gateway: what it uses is read in the logs of its sessions. Not of a model.",
    ),
    Key(
        "when_reserved",
        Text('"hold", "park" or "model:NAME"', r"hold|park|model:.+"),
        "Where a usage window is reserved for others: hold its requests, park it, or have another model answer them.",
        "hold",
    ),
    Key("group", Either(_GROUP, MEMBER), "Of [groups]: whom its failure restarts."),
    Key(
        "labels",
        MapOf(Text(empty=True), "a label", r"[A-Za-z0-9._/-]{1,63}", label.MOST, label.KEY_HINT),
        "What people want to find it by.",
    ),
    Key(
        "sockets",
        ListOf(Either(Text('HOST:PORT or "unix:/PATH"', _ADDRESS), SOCKET), spec.MOST_SOCKETS),
        "Listening sockets passed to it: LISTEN_FDS.",
    ),
    Key("kept_fds", Number(0, spec.MOST_KEPT), "Descriptors that it may have kept between runs: FDSTORE=1.", "0"),
    Key("nice", Number(-20, 19), "Its niceness.", "the caller's"),
    Key(
        "ionice",
        Text('"idle", "best-effort:4" or "realtime:4"', r"idle|(best-effort|realtime)(:[0-7])?"),
        "ionice(1).",
    ),
    Key("oom_score", Number(-1000, 1000), "Who goes first when the machine has no memory left."),
    Key("umask", Mode(), "Its umask.", "the caller's"),
    Key("pty", Flag(), "With a terminal of its own, for `aish attach`.", "false"),
    Key("log", Either(Choice(*spec.LOGS), LOG), "Its output.", "split"),
    Key("sandbox", Either(Choice(*sandbox.PROFILES), SANDBOX), "What it may reach. Not of a model.", "as its user"),
    Key("rights", Choice(*spec.RIGHTS), "owner: it acts as the user, not as itself.", "own"),
    Key("profiles", ListOf(_NAME, 32), "Only there with one of these `--profile`s.", "always there"),
)
_WORDS: Final = {
    "depends_on": "needs",
    "directory": "cwd",
    "environment": "env",
    "cmd": "command",
    "exec": "command",
    "healthcheck": "live",
    "memory": 'limits = { memory = "8G" }',
    "cpus": 'limits = { cpus = "1.5" }',
    "pids": "limits = { pids = 200 }",
    "grace": 'stop = { grace = "10s" }',
    "start_timeout": 'timeouts = { start = "60s" }',
    "autorestart": "restart",
    "working_dir": "cwd",
    "schedule": "cron, in [schedules.NAME]",
}
"""What compose files, supervisord.conf and our own options call it."""
SERVICE: Final = Table(*_RUNS, *_ENTRY, one_of=[("command", "shell")], elsewhere=_WORDS)
MODEL: Final = Table(
    *_RUNS,
    Key(
        "url",
        Text('a URL like "http://127.0.0.1:{port}/v1", or "unix:/PATH"', r"https?://.+|unix:/.+"),
        "Where its server listens.",
        "http://127.0.0.1:{port}/v1",
    ),
    Key("upstream", Text(), "What the server itself calls the model."),
    Key("dialect", Choice(*dialect.DIALECTS), "What its server speaks.", "openai; anthropic at api.anthropic.com"),
    Key("context", count(), "Tokens that one request may hold."),
    Key("login", Choice(*dialect.LOGINS), "client: the client's own login (a subscription) passes through.", "key"),
    Key("price", PRICE, "What it costs. Default: its vendor's list; nothing on this machine."),
    Key("key_file", _PATH, "The server's key: first line of a file that only you can read."),
    Key("key", SECRET, "Where else its key is fetched: the first line of what is read there."),
    Key(
        "fallback",
        ListOf(Text('a model like "smollm2"'), 8),
        "Models that are asked where it fails before it answers.",
    ),
    Key("retries", Number(0, spec.MOST_RETRIES), "How often the same server is asked again then, after pauses.", "0"),
    Key("proxy", Text('"http://HOST:PORT"', r"https?://[^@]+"), "The HTTP proxy in between.", "the environment's"),
    Key("ca_file", _PATH, "Authorities that count beside the system's, in PEM."),
    Key(
        "concurrent",
        Number(1, spec.MOST_CONCURRENT),
        "Requests that it is sent at a time; the others wait for their turn.",
        "its slots",
    ),
    *_ENTRY,
    at_most_one=[("command", "shell")],
    elsewhere=_WORDS,
)
AGENT: Final = Table(
    Key(
        "agent",
        Text('an agent like "summarise", or the path of its file'),
        "A name that `aish agent ls` shows, or a file.",
    ),
    Key("words", Command(), "What follows its name: its prompt."),
    Key("model", Text('a model like "smollm2"'), "Instead of the one in its file."),
    Key("input", _PATH, "A file that is its stdin.", "empty"),
    *_RUNS,
    *_ENTRY,
    one_of=[("agent", "command", "shell")],
    elsewhere=_WORDS,
)
SCHEDULE: Final = Table(
    Key("cron", Text('five fields as in crontab(5), like "0 3 * * *"'), "When it runs."),
    Key("timezone", Text('a name like "Europe/Berlin"'), "Of these times.", "the machine's"),
    Key("missed", Choice(*spec.MISSED), "Times that went by: skip them, or run once for all.", "skip"),
    *_RUNS,
    *_ENTRY,
    one_of=[("command", "shell")],
    needed=["cron"],
    elsewhere=_WORDS,
)
GROUP: Final = Table(
    Key(
        "strategy",
        Choice(*spec.STRATEGIES),
        "What is restarted with one that failed: nothing, those behind it, all.",
        "one_for_one",
    ),
)
SECTIONS: Final = {"models": MODEL, "agents": AGENT, "services": SERVICE, "schedules": SCHEDULE}
"""Tables of entries: a process each."""
FILE: Final = Table(
    Key("name", _NAME, "Of the project.", "the folder's"),
    Key(
        "include",
        ListOf(_PATH, 64),
        "More files like this one, relative to it; * and ? stand for what they do in a shell.",
    ),
    Key("env", _ENV, "Variables of every entry."),
    Key("env_file", Either(_PATH, ListOf(_PATH, 16)), "Files of NAME=value lines for every entry."),
    Key("inherit", ListOf(_VARIABLE), "Variables of the caller that every entry gets."),
    Key("budget", PROJECT_BUDGET, "What all entries together, and all that they start, may ask of models."),
    *(
        Key(name, MapOf(table, "a name", NAME, hint=NAME_HINT), f"[{name}.NAME]: see below.")
        for name, table in SECTIONS.items()
    ),
    Key("groups", MapOf(GROUP, "a name", GROUP_NAME, hint=GROUP_HINT), "[groups.NAME]: entries that fail together."),
)
