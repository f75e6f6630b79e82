"""Sessions: a shell that a program drives by JSON lines, command by command.

docs/reference/session.md has the protocol, docs/adr/0026-sessions.md the reasons.

    front       the process that the program talks to: requests, deadlines, results. Runs nothing itself
    warden      the parent of the shell and of everything that loses its parents; ends all of it with the front
    shell       one Runtime of aish.lang, as long as the session

    request, answer     what comes in, and what goes out
    inbox, outbox       the program's two descriptors
    output, shelf       what a command writes: shown in part, whole in a file
    run, ending         one command under way, and how what it has started is ended
    kin                 which processes belong to which command
    crew, custody       the front's side of warden and shell, and of the processes
    loop                descriptors and due times
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.lang.host import Host


def start(argv: Sequence[str], host: Host) -> int:
    """Be the front of a session with these words of its command line; its exit status. The standard streams are the
    client's, and nobody else's from here on."""
    from aish.session import entry

    return entry.run(argv, host)
