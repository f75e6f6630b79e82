"""`aish model serve` and `stop`: models that run, and what is asked of the daemon for them."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import sys
from typing import TYPE_CHECKING

from aish.cli import inputs
from aish.cli.arguments import Parser, json_option
from aish.cli.each import for_each
from aish.cli.output import print_json
from aish.cli.progress import Shown
from aish.client import connect, launch, offers
from aish.client.call import by, carry
from aish.client.last_words import last_words
from aish.config import key_file
from aish.errors import AishError, NotFoundError, NotRunningError, RefusedError, UnavailableError, UsageError
from aish.model import dialect, kind
from aish.model.nearest import nearest
from aish.model.size import parse_bytes, parse_count
from aish.model.spec import MOST_RETRIES
from aish.report import clean, report
from aish.wire.message import Inspect, Serve, Snapshot, Spawn, Stop, Wait
from aish.wire.plain import plain
from aish.wire.reply import Inspected, Started, View, Waited
from aish.wire.spec import PRICES, FailoverPart, PricePart, RoutePart, SpecPart

if TYPE_CHECKING:
    from argparse import Namespace

    from aish.client import Client
    from aish.spi.model_server import StoredModel
    from aish.wire.part import ProcessPart

_START_WAIT_S = 600.0
"""Tens of gigabytes may have to be read."""
_URL_WAIT_S = 30.0
"""That server runs already, or it does not."""
_SILENT_S = 1.5
"""How long nobody wonders why it takes so long."""


def serve(words: list[str]) -> int:
    parser = Parser(
        "model serve",
        "Have a model run, and wait until it answers.",
        "examples:\n"
        "  aish model serve smollm2                        a stored model (the default one is fetched first)\n"
        "  aish model serve big -- vllm serve ORG/NAME --port {port}      any OpenAI-compatible server\n"
        "  aish model serve big --url http://127.0.0.1:11434/v1 --upstream-name qwen3:32b\n"
        "  aish model serve claude --url https://api.anthropic.com --key-file ~/.claude-key \\\n"
        "      --upstream-name claude-sonnet-4-5 --fallback smollm2 --retries 2",
    )
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--url", metavar="URL", help="a server that runs already, up to and with /v1")
    parser.add_argument("--key-file", metavar="FILE", help="its key: first line of a file that only you can read")
    parser.add_argument("--key", metavar="SOURCE", help=f"where else its key is fetched: {inputs.SOURCES}")
    parser.add_argument(
        "--upstream-name", metavar="MODEL", help="what the server itself calls the model; 'claude-*': all that fit"
    )
    parser.add_argument(
        "--dialect", choices=dialect.DIALECTS, help="what it speaks (openai; anthropic at api.anthropic.com)"
    )
    parser.add_argument(
        "--login", choices=dialect.LOGINS, default=dialect.KEY, help="client: the client's own login passes through"
    )
    parser.add_argument("--proxy", metavar="URL", help="the HTTP proxy in between (that of the environment)")
    parser.add_argument("--ca-file", metavar="FILE", help="authorities that count beside the system's, in PEM")
    parser.add_argument(
        "--concurrent",
        type=int,
        metavar="N",
        help="requests that it is sent at a time; the others wait for their turn",
    )
    parser.add_argument(
        "--price", metavar="WHAT=USD", help="per million tokens: input=3,output=15,cached=0.3; or hour=0.12 of work"
    )
    parser.add_argument(
        "--fallback",
        action="append",
        default=[],
        metavar="MODEL",
        help="who is asked where it fails before it answers; several in this order, or one option with commas",
    )
    parser.add_argument(
        "--retries", type=int, default=0, metavar="N", help="how often the same server is asked again then, later (0)"
    )
    parser.add_argument("--context", metavar="TOKENS", help="how much one request may hold")
    parser.add_argument("--vram", metavar="SIZE", help="GPU memory that it gets; waits until it fits")
    parser.add_argument("--no-wait", action="store_true", help="return when it has been started")
    parser.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="how long to wait (600; 30 for a --url without a command)"
    )
    json_option(parser)
    at = words.index("--") if "--" in words else len(words)
    options, command = parser.parse_args(words[:at]), words[at + 1 :]
    if options.timeout is None:
        options.timeout = _URL_WAIT_S if options.url and not command else _START_WAIT_S
    _check(options, command, words)
    request = _request(options, command)  # what is wrong with it is told before anything starts
    with connect(program="model") as client:
        started = client.ask(Started, request)
        if started.came_to_nothing:
            raise UnavailableError(f"{started.name} ({started.id}): {started.reason or 'it did not start'}")
        waits = not options.no_wait and _may_wait(
            client, started, options.timeout, give_up=bool(options.url and not command)
        )
        row = next((row for row in _models(client) if row.id == started.id), None)
    if options.json:
        print_json(row if row is not None else started)
    else:
        state = "ready" if waits else started.state
        why = f": {started.reason}" if started.reason and not waits else ""
        print(f"{started.id}  {started.name}  {state}{why}")
    return 0


def pull_shown(
    reference: str, name: str | None = None, pairs: dict[str, str] | None = None, *, replace: bool = False
) -> StoredModel:
    from aish import store

    with Shown() as shown:
        return store.pull(reference, shown, name=name, options=pairs, replace=replace)


def have_looked() -> None:
    """What is stored is other than before: a supervisor looks when somebody connects, and tells its gateway, so that
    nobody asks that for a new model in vain. None need run."""
    with contextlib.suppress(AishError):
        connect(start=False, program="model").close()


def running_models() -> list[ProcessPart]:
    """Model processes; none where no daemon runs, which is no error."""
    try:
        with connect(start=False, program="model") as client:
            return _models(client)
    except NotRunningError:
        return []


def running_digests() -> dict[str, ProcessPart]:
    """The processes that run stored models, by the digest of what they run: its name may be another by now."""
    found: dict[str, ProcessPart] = {}
    try:
        with connect(start=False, program="model") as client:
            for row in _models(client):
                try:
                    route = client.ask(Inspected, Inspect(target=row.id)).spec.route
                except NotFoundError:
                    continue  # it has just ended, and was forgotten
                if route is not None and route.digest is not None:
                    found[route.digest] = row
    except NotRunningError:
        pass  # nothing runs
    return found


def _models(client: Client) -> list[ProcessPart]:
    return [row for row in client.ask(View, Snapshot()).processes if row.kind == kind.MODEL]


def _check(options: Namespace, command: list[str], words: list[str]) -> None:
    if "--" in words and not command:
        raise UsageError("a command must follow --", hint="aish model serve NAME -- my-server --port {port}")
    if command and options.url and "{port}" not in options.url and not options.url.startswith("unix:"):
        raise UsageError("both --url and a command", hint="with a command, --url tells where it listens: use {port}")
    if not command and not options.url:
        for option, value in (
            ("--key-file", options.key_file),
            ("--key", options.key),
            ("--proxy", options.proxy),
            ("--ca-file", options.ca_file),
            ("--upstream-name", options.upstream_name),
            ("--dialect", options.dialect),
            ("--concurrent", options.concurrent is not None),
        ):
            if value:
                raise UsageError(f"{option} belongs to --url or to a command after --")
    if (
        options.url and "@" in options.url.partition("://")[2].partition("/")[0]
    ):  # never repeat what may be a password
        raise UsageError(
            "--url holds a user or a password, which `aish inspect` and the records would show",
            hint="put the key into a file that only you can read: --key-file FILE",
        )
    if not (math.isfinite(options.timeout) and options.timeout > 0):
        raise UsageError(f"--timeout must be above 0, not {options.timeout}")


def _request(options: Namespace, command: list[str]) -> Serve | Spawn:
    vram_bytes = parse_bytes(options.vram) if options.vram else None
    here = launch.capture()
    failover = _failover(options)
    if not command and not options.url:
        spec = None
        if failover is not None:
            spec = SpecPart(argv=[], kind=kind.MODEL, restart="on-failure", failover=failover)
        return Serve(model=stored_name(options.name), vram_bytes=vram_bytes, launch=here, spec=spec)
    url = options.url or "http://127.0.0.1:{port}/v1"
    if command and not options.url and not any("{port}" in word for word in command):
        raise UsageError(
            "the command does not say {port}",
            hint="put {port} where the server takes its port (aish chooses one), or tell its --url",
        )
    route = RoutePart(
        url=url,
        upstream_name=options.upstream_name,
        context_tokens=parse_count(options.context) if options.context else None,
        key_file=key_file.checked(options.key_file) if options.key_file is not None else None,
        key=inputs.source_of("--key", options.key) if options.key is not None else None,
        dialect=options.dialect or dialect.of(url),
        login=options.login,
        proxy=options.proxy,
        ca_file=os.path.abspath(options.ca_file) if options.ca_file else None,
        price=parse_price(options.price) if options.price else None,
        concurrent=options.concurrent,
    )
    spec = SpecPart(
        argv=[os.fsencode(word) for word in command],
        cwd=os.fsencode(launch.folder()),
        name=options.name,
        kind=kind.MODEL,
        vram_bytes=vram_bytes,
        route=route,
        failover=failover,
        model=options.name,
        restart="on-failure" if command else "never",
    )
    return Spawn(token=secrets.token_hex(16), spec=spec, launch=here)


def _failover(options: Namespace) -> FailoverPart | None:
    """Raises UsageError."""
    names = [name for words in options.fallback for name in words.split(",") if name]
    if not names and not options.retries:
        return None
    if not 0 <= options.retries <= MOST_RETRIES:
        raise UsageError(f"--retries {options.retries}: expected 0 to {MOST_RETRIES}")
    return FailoverPart(fallback=names, retries=options.retries)


def parse_price(text: str) -> PricePart:
    """Raises UsageError."""
    found: dict[str, float] = {}
    for pair in text.split(","):
        name, _, value = pair.partition("=")
        try:
            found[PRICES[name.strip()]] = float(value)
        except (KeyError, ValueError):
            raise UsageError(
                f"--price: not a price: {pair[:40]!r}", hint="input=3,output=15,cached=0.3,written=3.75 or hour=0.12"
            ) from None
    if not all(math.isfinite(value) and value >= 0 for value in found.values()):
        raise UsageError("--price: a price is 0 or more")
    return PricePart(**found)


def stored_name(name: str) -> str:
    """The stored model's name. The embedded default is fetched where it is not there yet."""
    from aish import store
    from aish.store.name import Name

    try:
        return store.find(name).name
    except NotFoundError:
        if Name.parse(name).model not in store.RECIPES or Name.parse(name).tag:
            raise
    offers.tell()
    return pull_shown(name).name


def _may_wait(client: Client, started: Started, timeout_s: float, *, give_up: bool) -> bool:
    """Wait until it is ready; False where a supervised process asked: the model is nobody's child, and not shown to
    it. Its first request waits as long as it takes."""
    try:
        _await_ready(client, started, timeout_s, give_up=give_up)
    except RefusedError:
        return False
    return True


def _await_ready(client: Client, started: Started, timeout_s: float, *, give_up: bool) -> None:
    """`give_up`: its server runs already, so what it says now it says for good.

    Raises UnavailableError where it ends first or is not ready in time; with the end of its log."""
    try:
        waited = _ready(client, started, min(timeout_s, _SILENT_S), give_up=give_up)
        if waited.timed_out and timeout_s > _SILENT_S:
            _tell_why(client, started)
            rest_s = timeout_s - _SILENT_S
            waited = _ready(client, started, rest_s, give_up=give_up)
    except KeyboardInterrupt:
        report(
            "aish model serve",
            AishError(f"{started.name} goes on starting", hint=f"end it: aish model stop {started.id}"),
        )
        raise
    if waited.hopeless is not None:
        raise UnavailableError(
            f"{started.name} ({started.id}) will not get ready by waiting: {waited.hopeless}",
            hint=f"mend that, or take it away: aish model stop {started.id}; it is asked again until then",
        )
    if waited.timed_out:
        row = next((row for row in _models(client) if row.id == started.id), None)
        why = f": {row.doing}" if row is not None and row.doing else ""
        look = (
            f"aish logs {started.id}" if row is not None and row.argv else "is its server running, is the URL right?"
        )
        raise UnavailableError(
            f"{started.name} ({started.id}) is not ready after {timeout_s:.0f} s{why}",
            hint=f"look at it: {look}; it is asked again until `aish model stop {started.id}`",
        )
    if waited.exit is not None:
        last = carry(last_words(started.id), by(client))
        raise UnavailableError(
            f"{started.name} ({started.id}) ended before it was ready" + (f": {last}" if last else ""),
            hint=f"its output: aish logs {started.id}",
        )


def _ready(client: Client, started: Started, timeout_s: float, *, give_up: bool) -> Waited:
    return client.ask(Waited, Wait(target=started.id, until="ready", timeout_s=timeout_s, give_up=give_up))


def _tell_why(client: Client, started: Started) -> None:
    """A server that runs already answers at once: why does this one not? One that is started may take its time."""
    row = next((row for row in _models(client) if row.id == started.id), None)
    if row is not None and not row.argv and row.doing:
        print(clean(f"aish model serve: waiting for {row.name}: {row.doing}"), file=sys.stderr, flush=True)


def stop(words: list[str]) -> int:
    parser = Parser("model stop", "End running models: their stop signal, and SIGKILL after a grace.")
    parser.add_argument("name", nargs="+", metavar="NAME")
    json_option(parser)
    options = parser.parse_args(words)
    with connect(start=False, program="model") as client:
        models = {key: row for row in _models(client) for key in (row.name, row.id)}

        def act(name: str) -> object:
            row = models.get(name.removeprefix("@"))
            if row is None:
                near = nearest(name, models)
                raise NotFoundError(f"no model {name} is running", hint=f"did you mean {near}?" if near else None)
            client.request(Stop(target=row.id))
            return plain(client.ask(Waited, Wait(target=row.id)))

        return for_each("model stop", options.name, act, as_json=options.json)
