"""The holder's wire: one JSON object per SOCK_SEQPACKET datagram, descriptors by SCM_RIGHTS. Both sides.

Socket: RUNTIME_DIR/holder.sock (0600 in a 0700 folder; the same uid only). A datagram is UTF-8 JSON of at most
DATAGRAM_BYTES with at most FDS_MAX descriptors. Requests: {"op": …, "seq": int, …}. Replies echo seq:
{"seq": n, "ok": true, …} or {"seq": n, "error": {"code": …, "message": …, …}}. A datagram that cannot be read
is answered with seq null. Events have "event" and no seq. Whatever a caller sends, the holder lives.

| op | request | reply |
|---|---|---|
| hello | version, role | version, pid, keeper_pid, boot_id, started (epoch s), daemon_pid, build, keeper_build, … |
| daemon | | pid, started (false: it ran already); starts the daemon now |
| spawn | id; fds: payload memfd, then the child's | pid, start_time (clock ticks, field 22), again |
| signal | id, sig, group (default false) | |
| list | after (default 0) | children [{id, pid, start_time, starting}], exits, next (null at the end) |
| ack | ids | |
| store | name; fds | replaces what the name held |
| fetch | name | count, and the fds |
| drop | name | dropped (false: there was none) |
| names | after (default "") | names [{name, count, draining, drained, lost_bytes, errno}], next |
| drain | name; fds: the log file, opened O_APPEND | copies the pty master `name` to it until its last slave closes |
| bye | | the daemon leaves on purpose: do not start it again before somebody asks with `daemon` |
| upgrade | build | upgraded (false: both were it) |
| leave | | behind: how many terminals are still drained. Nothing is ended; with the last of them both programs end |
| quit | force (default false) | refused with "busy" while anything lives or is unacknowledged, unless forced |

hello comes first. role "client" may only hello and daemon; the other is "controller". There is one controller, the
latest to say hello; the one before gets {"event": "displaced"} and becomes a client. A holder that has a daemon
(--daemon-argv) takes nobody else as controller: a supervised process cannot make itself the controller.

upgrade. If the holder is another build it tries the program on disk, becomes it, and every connection ends; its
children, their exits and what it keeps stay. Connect and ask again: then the keeper follows, and the answer comes.
Refused ("upgrade") where the program on disk does not start or is not that build, then nothing has changed; "busy"
while another upgrade is under way.

Events, to the controller:
{"event": "exit", "id", "pid", "start_time", "status" (raw wait status; null: unknown, never 0), "utime_s",
 "stime_s", "maxrss_bytes", "ended_at" (epoch s)}, the last four null where unknown. Kept until `ack`, and part of
`list` until then; a new controller lists first (what ended earlier is not pushed again), then may see an exit
twice: they are idempotent by (id, pid). A controller that does not read loses no exit: pushes wait in the table.
{"event": "drained", "name", "lost_bytes", "errno"}: also told by `names` for who missed it. lost_bytes is what the
log's file system refused (at least; errno says why).

{"event": "home", "path"}: something was taken away from the runtime folder. The holder's own socket is there again,
or at another path, where the folder above is gone.

Error codes: malformed, too-large, fds, bad-request, unknown-op, version, not-allowed, unknown-id, reaped, signal
(errno), spawn (stage, errno), full, unknown-name, busy (live, unacknowledged), no-daemon, closing, upgrade, revoked.

spawn. The payload is sealed against shrinking (F_SEAL_SHRINK) before anything is done with the request. Who has sent
it and waits too long truncates it to nothing: where the kernel lets him, the holder refuses it when it reads it
("revoked"); where not, the holder has it. `revocable` of hello (true) says that this holder seals.

spawn. The same id again answers the same (again: true) while the child lives or its exit is unacknowledged; the
new payload is then ignored. A failed spawn leaves nothing behind and may be tried again. The payload memfd holds
one JSON object of at most PAYLOAD_BYTES; byte strings travel as latin-1, so that byte N is the character U+00NN:
    argv: [bytes, …] (at least one)    env: ["K=V" bytes, …], exactly the child's environment
    cwd: bytes   umask: int   nice: int (absolute)   rlimits: {"nofile": [soft, hard], …}, -1 = infinity
    pty: bool: fd 0 is a pty slave and becomes the controlling terminal
    targets: [int, …]: the child's number for each fd after payload and groups; what of 0, 1, 2 is missing is closed
    groups: int: so many fds right after the payload are cgroup.procs files, to which the child writes "0"
    oom_score_adj: int   ioprio: int (ioprio_set(2)'s class << 13 | level)
    program: bytes, the path to execute where that is not argv[0]
    listen_pid: bool: the child puts its own pid into the LISTEN_PID= of `env`, as sd_listen_fds(3) wants it
argv[0] without a slash is looked up in the PATH of `env`. The child leads its own session (pgid = pid). Limits that
are not named stay as the holder has them (nofile, core: as the holder was started with). Every signal disposition is
the default and the mask is empty. Stages that can fail: fork, fds, session, tty, cwd, group, nice, oom, ioprio,
announce, rlimit, exec.

A process that keeps a pty master in the store and gives its slave to a child holds its own slave until spawn
answers; else the drain could see "all slaves closed" before the child has it. The holder reads masters with
O_NONBLOCK, which is a property of the open file and so is seen by everyone who shares it.
"""

from __future__ import annotations

import array
import json
import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

VERSION = 1
SOCKET_NAME = "holder.sock"
LOCK_NAME = "holder.lock"
DATAGRAM_BYTES = 65536
PAGE_BYTES = 56 * 1024  # what list and names fill before they continue on the next page
PAYLOAD_BYTES = 8 * 1024 * 1024
FDS_MAX = 64
KERNEL_FDS_MAX = 253  # SCM_MAX_FD: room for all of them, so that whatever arrives can be closed
NAME_CHARS = 128
TARGET_MAX = 4096
CONTROLLER = "controller"
CLIENT = "client"
RUNTIME_DIR_VARIABLE = "AISH_RUNTIME_DIR"


class HolderError(Exception):
    """Root of what this package raises. The daemon translates it into aish.errors where a person sees it."""


class Refusal(HolderError):  # noqa: N818 - it is an answer of the protocol, told from failures by its name
    """The holder says no: the caller's fault, or a state that does not allow it. `code` is for programs."""

    def __init__(self, code: str, message: str, **details: object) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    def reply(self) -> dict[str, object]:
        """The error reply's body; short whatever the caller's words were that it quotes."""
        return {"error": {"code": self.code, "message": self.message[:500], **self.details}}


class Packet:
    """One datagram as it arrived. `fds` belong to the receiver. `cut` names what did not fit, else None."""

    __slots__ = ("cut", "data", "fds")

    def __init__(self, data: bytes, fds: list[int], cut: str | None) -> None:
        self.data = data
        self.fds = fds
        self.cut = cut

    def close(self) -> None:
        """Close every descriptor that nobody took out of the list."""
        while self.fds:
            os.close(self.fds.pop())


def encode(message: Mapping[str, object]) -> bytes:
    """One message as a datagram. Raises Refusal(too-large): the sender's fault."""
    data = json.dumps(message, separators=(",", ":")).encode()
    if len(data) > DATAGRAM_BYTES:
        raise Refusal("too-large", f"the message has {len(data)} bytes, at most {DATAGRAM_BYTES} fit")
    return data


def decode(data: bytes) -> dict[str, Any]:
    """The object in a datagram. Raises Refusal(malformed) for anything else, however hostile."""
    try:
        message = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Refusal("malformed", f"not JSON: {error}") from None
    if not isinstance(message, dict):
        raise Refusal("malformed", "not a JSON object")
    return message


def send(sock: socket.socket, data: bytes, fds: Sequence[int] = ()) -> None:
    """Send one datagram. Raises BlockingIOError when a non-blocking socket is full, OSError when it is dead."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([data], rights, socket.MSG_NOSIGNAL)


def receive(sock: socket.socket) -> Packet:
    """Receive one datagram; data is b'' at the end. Every descriptor arrives close-on-exec.

    Raises BlockingIOError (nothing there) and OSError (connection gone) as the socket does.
    """
    room = socket.CMSG_SPACE(KERNEL_FDS_MAX * 4)
    data, control, flags, _ = sock.recvmsg(DATAGRAM_BYTES, room, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, content in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    cut = None
    if flags & socket.MSG_TRUNC:
        cut = "too-large"
    elif flags & socket.MSG_CTRUNC or len(fds) > FDS_MAX:
        cut = "fds"
    return Packet(data, list(fds), cut)


def encode_payload(
    argv: Sequence[bytes],
    env: Iterable[bytes],
    cwd: bytes,
    *,
    umask: int,
    nice: int,
    rlimits: Mapping[str, tuple[int, int]] | None = None,
    pty: bool = False,
    targets: Sequence[int] = (0, 1, 2),
    groups: int = 0,
    oom_score_adj: int | None = None,
    ioprio: int | None = None,
    program: bytes | None = None,
    listen_pid: bool = False,
) -> bytes:
    """What the payload memfd of `spawn` holds; see the module's text for each field."""
    return json.dumps(
        {
            "argv": [word.decode("latin-1") for word in argv],
            "env": [pair.decode("latin-1") for pair in env],
            "cwd": cwd.decode("latin-1"),
            "umask": umask,
            "nice": nice,
            "rlimits": {name: list(pair) for name, pair in (rlimits or {}).items()},
            "pty": pty,
            "targets": list(targets),
            "groups": groups,
            "oom_score_adj": oom_score_adj,
            "ioprio": ioprio,
            "program": program.decode("latin-1") if program is not None else None,
            "listen_pid": listen_pid,
        },
        separators=(",", ":"),
    ).encode()


def payload_fd(payload: bytes) -> int:
    """A memfd holding the payload, the first descriptor of `spawn`. The caller closes it."""
    fd = os.memfd_create("aish-spawn", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(payload)
        while view:
            view = view[os.write(fd, view) :]
    except OSError:
        os.close(fd)
        raise
    return fd


def name_of(message: Mapping[str, object], key: str) -> str:
    """The id or name under `key`: 1 to NAME_CHARS visible ASCII characters, not beginning with a dot.

    (A leading dot is the holder's own.) Raises Refusal(bad-request).
    """
    value = message.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= NAME_CHARS or value[0] == ".":
        raise Refusal("bad-request", f"{key}: 1 to {NAME_CHARS} characters, not beginning with '.'")
    if not all("!" <= character <= "~" for character in value):
        raise Refusal("bad-request", f"{key}: visible ASCII characters only")
    return value


def integer(message: Mapping[str, object], key: str, low: int, high: int, default: int | None = None) -> int:
    """The integer under `key` within [low, high]. Raises Refusal(bad-request)."""
    value = message.get(key, default)
    if type(value) is not int or not low <= value <= high:
        raise Refusal("bad-request", f"{key}: an integer from {low} to {high}")
    return value


def flag(message: Mapping[str, object], key: str) -> bool:
    """The boolean under `key`, false where it is absent. Raises Refusal(bad-request)."""
    value = message.get(key, False)
    if not isinstance(value, bool):
        raise Refusal("bad-request", f"{key}: true or false")
    return value
