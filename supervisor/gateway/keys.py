"""Who calls: a key of a request -> a supervised process, or a named key that the user made for another program.

aish-p12-3-MAC       derived from the secret, the process and the epoch (aish.wire.key); never stored
sk-aish-RANDOM       a named key: shown once, kept as a hash; its account is `key:NAME`
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import msgspec
from multidict import istr

from aish.errors import ConflictError, NotFoundError, RefusedError, UsageError
from aish.model.client_environ import OWN_KEY
from aish.model.nearest import nearest
from aish.supervisor.gateway.amounts import NONE, Budget
from aish.supervisor.gateway.bell import Bell
from aish.supervisor.gateway.routes import Directory
from aish.supervisor.gateway.row import KeyRow
from aish.supervisor.gateway.spending import Spending
from aish.supervisor.gateway.totals import KEY_PREFIX
from aish.wire import key as derived
from aish.wire.budget import MOST as MOST_TOKENS

NAMED_PREFIX: Final = "sk-aish-"
# A process may ask before the daemon's word about it is here; longer while the daemon is away.
APPEAR_S: Final = 3.0
REVIVE_S: Final = 0.5  # or before the word that it was started again
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OWN_KEY, _AUTHORIZATION = istr(OWN_KEY), istr("Authorization")
_KNOWN_MOST: Final = 4096
_HINT: Final = "a supervised process finds its key in its environment; for other programs: aish key new NAME"


class Caller(msgspec.Struct, frozen=True):
    """Whom a request counts for. `account` is a process id or `key:NAME`."""

    account: str
    name: str | None = None
    kind: str | None = None
    agent: str | None = None
    project: str | None = None


class Keys:
    """All keys. `bell` rings when the process table changes."""

    def __init__(self, secret: bytes, directory: Directory, spending: Spending, bell: Bell) -> None:
        self._secret = secret
        self._directory = directory
        self._spending = spending
        self._bell = bell
        self._known: dict[str, tuple[str, int]] = {}
        """Keys whose MAC was checked before."""
        self.named: dict[str, KeyRow] = {row.name: row for row in spending.records.named_keys()}
        self._hashes: dict[bytes, KeyRow] = {row.hash: row for row in self.named.values()}
        self._presented: dict[str, KeyRow] = {}
        """Named keys that came before and are still as they were."""

    def known(self, headers: Mapping[str, str]) -> Caller | None:
        """The same for a named key that came before. Raises RefusedError."""
        key = presented(headers)
        return self._named(key) if key in self._presented else None

    async def caller(self, headers: Mapping[str, str]) -> Caller:
        """The caller by the request's headers. Raises RefusedError, which means 401."""
        key = presented(headers)
        if not key:
            raise RefusedError("no API key: send Authorization: Bearer KEY", hint=_HINT)
        if key.startswith(NAMED_PREFIX):
            return self._named(key)
        found = self._known.get(key) or derived.verify(self._secret, key)
        if found is None:
            raise RefusedError("unknown API key", hint=_HINT)
        if len(self._known) >= _KNOWN_MOST:
            self._known.clear()
        self._known[key] = process, epoch = found
        return await self._process(process, epoch)

    async def behind(self, process: str, headers: Mapping[str, str]) -> Caller:
        """The same where the socket names the process: it needs no key, and has no use for any but its own. Raises
        RefusedError."""
        key = presented(headers)
        found = (process, self._directory.epoch) if not key else derived.verify(self._secret, key)
        if found is None or found[0] != process:
            raise RefusedError(
                f"this is the door of {process}'s sandbox, and the key is not its own", hint="it needs none here"
            )
        return await self._process(process, found[1])

    def _named(self, key: str) -> Caller:
        row = self._presented.get(key)
        if row is None:
            row = self._hashes.get(_hash(key))
            if row is None:
                raise RefusedError("unknown API key", hint=_HINT)
            self._presented[key] = row
        if row.revoked_s is not None:
            raise RefusedError(f"the key {row.name} was revoked", hint=f"aish key new {row.name}-2")
        return Caller(KEY_PREFIX + row.name, row.name)

    async def _process(self, process: str, epoch: int | None) -> Caller:
        began_s = asyncio.get_running_loop().time()
        while True:
            member = self._directory.members.get(process) if self._directory.epoch == epoch else None
            if member is not None and member.alive:
                return Caller(process, member.name, member.kind, member.agent, member.project)
            if not await self._bell.wait_until(began_s + (APPEAR_S if member is None else REVIVE_S)):
                break
        if member is not None:
            return self.alive(process)
        if self._directory.epoch is not None and self._directory.epoch != epoch:
            raise RefusedError("this API key is of an earlier process table", hint="start the program again")
        raise RefusedError(f"no process {process} is known for this API key", hint="did the daemon lose its state?")

    def alive(self, account: str) -> Caller:
        """The caller of that account as it is now. Raises RefusedError when it has ended or was revoked."""
        if account.startswith(KEY_PREFIX):
            row = self.named[account.removeprefix(KEY_PREFIX)]
            if row.revoked_s is not None:
                raise RefusedError(f"the key {row.name} was revoked")
            return Caller(account, row.name)
        member = self._directory.members.get(account)
        if member is None or not member.alive:
            raise RefusedError(f"the process {account} has ended: its API key is not valid any more")
        return Caller(account, member.name, member.kind, member.agent, member.project)

    # --- named keys ---------------------------------------------------------------------------------------------

    def make(self, name: str, budget: Budget = NONE, nice: int = 0) -> str:
        """Make a named key and return it: the only time that it is seen. Raises UsageError, ConflictError,
        StorageError."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"not a key name: {name!r}", hint="letters, digits, '.', '_' and '-', 64 at most")
        known = self.named.get(name)
        if known is not None:
            state = "exists" if known.revoked_s is None else "was revoked; its usage is kept under that name"
            raise ConflictError(f"the key {name} {state}", hint=f"choose another name, such as {name}-2")
        check_budget(budget.tokens)
        key = NAMED_PREFIX + secrets.token_urlsafe(32)
        self._put(KeyRow(name, _hash(key), time.time(), budget, nice=nice))
        return key

    def revoke(self, name: str) -> bool:
        """Revoke a named key; False if it was so already. Raises NotFoundError, StorageError."""
        row = self.find(name)
        if row.revoked_s is not None:
            return False
        self._put(replace(row, revoked_s=time.time()))
        return True

    def limit(self, name: str, budget: Budget, nice: int | None = None) -> None:
        """Change what a named key may spend in all, and how much its requests weigh. Raises NotFoundError,
        UsageError, StorageError."""
        check_budget(budget.tokens)
        row = self.find(name)
        self._put(replace(row, budget=budget, nice=row.nice if nice is None else nice))
        self._bell.ring()  # who waits for a place may be next by now

    def nice(self, account: str) -> int:
        """The niceness of a process, or of a named key."""
        if not account.startswith(KEY_PREFIX):
            return self._directory.nice(account)
        row = self.named.get(account.removeprefix(KEY_PREFIX))
        return 0 if row is None else row.nice

    def _put(self, row: KeyRow) -> None:
        """On the disk first: what a full one does not take has not happened, and can be tried again."""
        self._spending.put_key(row)
        self.named[row.name] = self._hashes[row.hash] = row
        self._presented.clear()

    def find(self, name: str) -> KeyRow:
        """The named key. Raises NotFoundError, with the nearest name."""
        row = self.named.get(name)
        if row is None:
            near = nearest(name, self.named)
            raise NotFoundError(
                f"no key is called {name!r}", hint=f"did you mean {near}?" if near else "`aish key ls` lists them"
            )
        return row


def check_budget(budget_tokens: int | None) -> None:
    """Raises UsageError for one that cannot be kept."""
    if budget_tokens is None or 0 <= budget_tokens < MOST_TOKENS:
        return
    wrong = "cannot be negative" if budget_tokens < 0 else f"is below {MOST_TOKENS}"
    raise UsageError(f"a budget {wrong}", hint="such as --tokens 200k")


def presented(headers: Mapping[str, str]) -> str:
    """The key in the headers of OpenAI's, Azure's, Anthropic's and Gemini's clients; in one of its own beside a login
    that is not for us."""
    if _OWN_KEY in headers:
        return headers[_OWN_KEY].strip()
    scheme, _, credentials = headers.get(_AUTHORIZATION, "").partition(" ")
    if scheme.lower() == "bearer" and credentials:
        return credentials.strip()
    return headers.get("api-key") or headers.get("x-api-key") or headers.get("x-goog-api-key") or ""


def _hash(key: str) -> bytes:
    # 256 random bits need no slow hash: nobody can try them.
    return hashlib.sha256(key.encode(errors="replace")).digest()
