"""`aish env`: the variables that point a program at the gateway.

    eval "$(aish env)"                          OpenAI's clients
    eval "$(aish env --for anthropic)"          Anthropic's: a Claude Code that is logged in would use the key instead
    eval "$(aish env --for azure)"              OpenAI's client of Azure
    eval "$(aish env --for anthropic-login)"    beside the login that it has: our key is a header of its own

The key is this user's own, named `env`: made on first use and kept in a 0600 file, so that every shell gets the same
one. `aish key revoke env` ends it for all of them; the next use makes another, `env-2`: a name is never given twice,
and of a key whose file was lost the gateway knows only a hash. In a supervised process they are the process's own.
"""

from __future__ import annotations

import os
import shlex

from aish.cli.arguments import Parser, json_option
from aish.cli.output import print_json
from aish.cli.standing import USER
from aish.client import Client, connect
from aish.client.finding import outside
from aish.config import folders, private_file
from aish.errors import ConflictError, RefusedError, StorageError
from aish.model import client_environ
from aish.wire.message import KeyList, KeyNew
from aish.wire.reply import KeyMade, Keys

KEY_NAME = "env"
_FOR = (*client_environ.VENDORS, client_environ.AZURE, client_environ.ANTHROPIC_LOGIN, "all")
_KEY_BEGIN = "sk-aish-"
_FILE_MOST = 4096


def main(argv: list[str]) -> int:
    parser = Parser("env", "Print the variables that point a program at the gateway.", 'example: eval "$(aish env)"')
    parser.add_argument("--for", dest="clients", choices=_FOR, default="openai", help="whose clients (openai)")
    json_option(parser)
    options = parser.parse_args(argv)
    made = named(variables(), options.clients)
    if options.json:
        print_json(made)
    else:
        for name, value in made.items():
            print(f"export {name}={shlex.quote(value)}")
    return 0


def named(made: dict[str, str], clients: str) -> dict[str, str]:
    """The same address and key by the names that these clients read."""
    return client_environ.variables(made["OPENAI_BASE_URL"], made["OPENAI_API_KEY"], clients)


def variables() -> dict[str, str]:
    """The variables themselves. Raises the errors of the daemon, StorageError where the key cannot be kept."""
    with connect(start=outside(), program="env") as client:
        if client.welcome.standing != USER:
            return _own(client.welcome.caller)
        base_url = client.welcome.gateway_url + "/v1"
        return dict(zip(client_environ.OPENAI_NAMES, (base_url, base_url, _key(client)), strict=True))


def _own(process: str | None) -> dict[str, str]:
    """Those that a supervised process was started with: its requests are counted as its own. Raises RefusedError."""
    found = {name: os.environ[name] for name in client_environ.OPENAI_NAMES if name in os.environ}
    if len(found) < len(client_environ.OPENAI_NAMES):
        raise RefusedError(
            f"{process or 'this program'} was started with its own way to a model, or has dropped ours",
            hint="only the user can make another key: ask for `aish key new NAME` from outside",
        )
    return found


def _key(client: Client) -> str:
    path = os.path.join(folders.private(folders.state()), "env.key")
    keys = client.ask(Keys, KeyList()).keys
    kept = _kept(path)
    if kept is not None and any(key.name == kept[0] and not key.revoked for key in keys):
        return kept[1]
    made = _make(client, {key.name for key in keys})
    _keep(path, made)
    return made.key


def _make(client: Client, taken: set[str]) -> KeyMade:
    """A key with the first free name: env, env-2, env-3 …"""
    number = 1
    while True:
        name = KEY_NAME if number == 1 else f"{KEY_NAME}-{number}"
        number += 1
        if name in taken:
            continue
        try:
            return client.ask(KeyMade, KeyNew(name=name))
        except ConflictError:
            continue  # another shell was faster


def _kept(path: str) -> tuple[str, str] | None:
    """Name and key in the file; None where it is missing, cannot be read, or holds something else."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, encoding="ascii") as stream:
            words = stream.read(_FILE_MOST).split()
    except (OSError, UnicodeDecodeError):
        return None
    if len(words) == 1:  # as it was written before names had numbers
        words.insert(0, KEY_NAME)
    if len(words) != 2 or not words[1].startswith(_KEY_BEGIN) or len(words[1]) == len(_KEY_BEGIN):
        return None
    return words[0], words[1]


def _keep(path: str, made: KeyMade) -> None:
    """Whole or not at all: who reads meanwhile finds the file before or after. Raises StorageError."""
    try:
        private_file.replace(path, f"{made.name} {made.key}\n".encode("ascii"), draft=f"{path}.{os.getpid()}")
    except OSError as error:
        raise StorageError(f"cannot keep the key: {path}: {error.strerror}") from error
