"""The key by which the gateway knows a process: derived, never stored.

    aish-p12-3-<43 characters>        "aish", process id, epoch, HMAC-SHA256 in URL-safe base64

The master secret is 32 random bytes in a 0600 file of the state folder that daemon and gateway read. The epoch
changes whenever the process table starts afresh, so a key of an earlier table never fits a later process of the
same id.
"""

from __future__ import annotations

import base64
import errno
import fcntl
import hashlib
import hmac
import os
import re
from typing import Final

from aish.errors import StorageError

SECRET_BYTES: Final = 32
_KEY: Final = re.compile(r"aish-([a-z][a-z0-9]{0,31})-([0-9]{1,12})-([A-Za-z0-9_-]{43})")


class DamagedSecretError(StorageError):
    """The secret's file is not what was written there. Next: the daemon makes another."""


def derive(secret: bytes, process_id: str, epoch: int) -> str:
    """The key of a process. Pure."""
    return f"aish-{process_id}-{epoch}-{_mac(secret, process_id, epoch)}"


def tag(secret: bytes, process_id: str, epoch: int) -> str:
    """A mark by which the processes of a tree are found again; no key, and none can be made of it. Pure."""
    return hmac.new(secret, f"tag\0{process_id}\0{epoch}".encode(), hashlib.sha256).hexdigest()[:32]


def proxy_word(secret: bytes, process_id: str, epoch: int) -> str:
    """By which the egress proxy knows a process that has no network of its own; no key, and none can be made of it.
    Pure."""
    return hmac.new(secret, f"egress\0{process_id}\0{epoch}".encode(), hashlib.sha256).hexdigest()[:32]


def verify(secret: bytes, key: str) -> tuple[str, int] | None:
    """(process id, epoch) if the key was derived from `secret`, else None. Constant time in the MAC."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    process_id, epoch = match[1], int(match[2])
    if not hmac.compare_digest(match[3], _mac(secret, process_id, epoch)):
        return None
    return process_id, epoch


def _mac(secret: bytes, process_id: str, epoch: int) -> str:
    digest = hmac.new(secret, f"{process_id}\0{epoch}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def load_secret(path: str) -> bytes:
    """Read the master secret, made on first use (0600, no link followed). Raises StorageError."""
    try:
        fd, writable = _open(path)
    except OSError as error:
        raise StorageError(f"cannot open the gateway's secret: {path}: {error.strerror}") from error
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX if writable else fcntl.LOCK_SH)  # two programs may start at once
        secret = os.read(fd, SECRET_BYTES + 1)
        if not secret:
            secret = os.urandom(SECRET_BYTES)
            os.write(fd, secret)
            os.fsync(fd)
        if len(secret) != SECRET_BYTES:
            raise DamagedSecretError(
                f"the gateway's secret is damaged: {path} has {len(secret)} bytes, not {SECRET_BYTES}",
                hint=f"remove {path}; running processes then need a restart to get new keys",
            )
        return secret
    except OSError as error:
        raise StorageError(f"cannot read the gateway's secret: {path}: {error.strerror}") from error
    finally:
        os.close(fd)


def _open(path: str) -> tuple[int, bool]:
    """The file, and whether it can be written: what a read-only disk has can be read. Raises OSError."""
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags | os.O_RDWR | os.O_CREAT, 0o600), True
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return os.open(path, flags | os.O_RDONLY), False
