"""`aish env`: the variables that point a program at the gateway.

    eval "$(aish env)"

The key is this user's own, named `env`: made on first use and kept in a 0600 file, so that every shell gets the same
one. `aish key revoke env` ends it for all of them.
"""

from __future__ import annotations

import os
import shlex

from aish.cli.arguments import Parser, json_option
from aish.cli.output import print_json
from aish.client import Client, connect
from aish.config import folders
from aish.errors import StorageError
from aish.wire.message import KeyList, KeyMade, KeyNew, Keys

KEY_NAME = "env"


def main(argv: list[str]) -> int:
    parser = Parser("env", "Print the variables that point a program at the gateway.", 'example: eval "$(aish env)"')
    json_option(parser)
    options = parser.parse_args(argv)
    made = variables()
    if options.json:
        print_json(made)
    else:
        for name, value in made.items():
            print(f"export {name}={shlex.quote(value)}")
    return 0


def variables() -> dict[str, str]:
    """The variables themselves. Raises the errors of the daemon, StorageError where the key cannot be kept."""
    with connect(program="env") as client:
        base_url = client.welcome.gateway_url + "/v1"
        return {"OPENAI_BASE_URL": base_url, "OPENAI_API_BASE": base_url, "OPENAI_API_KEY": _key(client)}


def _key(client: Client) -> str:
    path = os.path.join(folders.private(folders.state()), "env.key")
    valid = any(key.name == KEY_NAME and not key.revoked for key in client.ask(Keys, KeyList()).keys)
    if valid:
        try:
            with open(path, encoding="ascii") as stream:
                return stream.read().strip()
        except OSError:
            pass  # the file went; the gateway keeps only a hash, so a new key replaces the old one
    made = client.ask(KeyMade, KeyNew(name=KEY_NAME))
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "w") as stream:
            stream.write(made.key + "\n")
    except OSError as error:
        raise StorageError(f"cannot keep the key: {path}: {error.strerror}") from error
    return made.key
