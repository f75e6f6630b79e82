"""Who may do what to whom: by place in the process tree, not by user id. Pure.

A caller from outside the holder's tree, or one whose spec has `rights = "owner"`, acts as the user. A supervised
process, or anything it started, acts as that process: it looks at and controls what is below it, never grants itself
anything, never reads another's log. A caller whose ancestry is not known has no rights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from aish.errors import RefusedError

if TYPE_CHECKING:
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.table import Table

Standing = Literal["user", "process", "nobody"]
Relation = Literal["user", "self", "below", "other", "nobody"]
"""What the target is to the caller; a request without a target counts as 'self' for a process."""
RELATIONS: Final[tuple[Relation, ...]] = ("user", "self", "below", "other", "nobody")


class Caller(msgspec.Struct, frozen=True):
    standing: Standing
    id: str | None = None
    """The process it acts as; set for 'process', and for a process with the user's rights."""
    leader: bool = False
    """It is that process itself, nothing that it has started."""


USER: Final = Caller("user")
NOBODY: Final = Caller("nobody")

_USER: Final[frozenset[Relation]] = frozenset({"user"})
_TREE: Final[frozenset[Relation]] = frozenset({"user", "self", "below"})
_SELF: Final[frozenset[Relation]] = frozenset({"self"})
_BELOW: Final[frozenset[Relation]] = frozenset({"user", "below"})

ALLOWED: Final[dict[str, frozenset[Relation]]] = {
    "Hello": frozenset(RELATIONS),  # the Welcome tells a caller who it is taken for
    "Spawn": _TREE,  # below itself, within its own budget
    "Adopt": _USER,  # what a process started is its own already, and what others started is not its business
    "Serve": _TREE,  # a stored model, as the gateway would on its request
    "Snapshot": _TREE,  # shows the caller's subtree
    "Inspect": _TREE,
    "History": _TREE,
    "Why": _TREE,
    "Wait": _TREE,
    "WaitMany": _TREE,
    "Signal": _TREE,
    "Cancel": _TREE,
    "Stop": _TREE,
    "Start": _BELOW,
    "Restart": _TREE,
    "Amend": _USER,
    "Down": _USER,
    "Pause": _TREE,
    "Cont": _BELOW,  # nobody lifts the hold that was put on it
    "Limit": _USER,  # a limit is the user's word
    "Wrapup": _USER,  # its grace is beyond every budget
    "BudgetQuery": _TREE,
    "Switch": _USER,  # another model costs more, and sees what is asked
    "Label": _TREE,  # a label gives no right
    "Forget": _BELOW,
    "Logs": _TREE,
    "Attach": _BELOW,
    "Events": _TREE,  # those of the caller's subtree
    "Gpus": _TREE,  # devices; processes and queue of the caller's subtree
    "KeyNew": _USER,
    "KeyList": _USER,
    "KeyRevoke": _USER,
    "UsageQuery": _USER,
    "RequestsQuery": _USER,
    "KeepText": _USER,  # a person's word: what is said is on the disk from then on
    "TextQuery": _TREE,  # those of the caller's subtree
    "WindowList": _USER,
    "WindowSet": _USER,
    "WindowUnset": _USER,
    "Tell": _SELF,
    "Conclude": _SELF,
    "Ask": _SELF,
    "Withdraw": _SELF,
    "Answer": _USER,  # nobody answers for the person, least of all who asks
    "Questions": _TREE,
    "Send": _BELOW,  # and to its parent and those with the same one: see aish.supervisor.daemon.posting
    "Receive": _SELF,
    "Respond": _SELF,
    "AwaitResponse": _TREE,  # of what it has sent itself
    "MailQuery": _TREE,
    "Mark": _BELOW,  # and Spawn's `budget_of`
    "SlotUse": _SELF,
    "SlotKeep": _SELF,
    "Doctor": _USER,
    "Shutdown": _USER,
    "Off": _USER,
    "GatewayHello": frozenset(),  # the gateway itself, known by its id
    "EgressHello": frozenset(),  # and so the egress proxy
}


_VERBS: Final = {
    "KeyNew": "key new",
    "KeyList": "key ls",
    "KeyRevoke": "key revoke",
    "UsageQuery": "usage",
    "RequestsQuery": "requests",
    "KeepText": "requests --keep-text",
    "TextQuery": "requests --text",
    "WindowList": "usage --windows",
    "WindowSet": "window set",
    "WindowUnset": "window unset",
    "BudgetQuery": "limit",
    "Serve": "model serve",
    "Signal": "kill",
    "WaitMany": "wait",
    "History": "inspect",
    "Snapshot": "ps",
    "Gpus": "gpu",
    "Mark": "checkpoint",
    "SlotUse": "checkpoint",
    "SlotKeep": "checkpoint",
}
"""What people call a request, where it is not its name."""


def relation(table: Table, caller: Caller, target: Process | None) -> Relation:
    """What `target` (None: none is named) is to `caller`."""
    match caller.standing:
        case "user":
            return "user"
        case "nobody":
            return "nobody"
        case "process":
            if target is None or target.id == caller.id:
                return "self"
            return "below" if caller.id is not None and caller.id in table.ancestors(target.id) else "other"


def decide(op: str, related: Relation) -> bool:
    """Whether a caller may do `op` to what stands in that relation to it. Unknown operations: nobody."""
    return related in ALLOWED.get(op, frozenset())


def check(table: Table, caller: Caller, op: str, target: Process | None = None) -> None:
    """Raises RefusedError unless `caller` may do `op` to `target`."""
    related = relation(table, caller, target)
    if decide(op, related):
        return
    verb = _VERBS.get(op, op.lower())
    if related == "nobody":
        raise RefusedError(
            f"{verb} refused: where this program comes from is not known, so it has no rights",
            hint="it was started below a supervised process and lost its parents; run it from your own shell",
        )
    whom = f" {target.row.name} ({target.id})" if target is not None else ""
    if related == "self":
        raise RefusedError(
            f"{verb}{whom} refused: a supervised process may not do that for itself",
            hint="ask the user to do it from outside",
        )
    if related == "below":
        raise RefusedError(
            f"{verb}{whom} refused: only the user may do that, no process for what it started",
            hint="ask the user to do it from outside",
        )
    raise RefusedError(
        f"{verb}{whom} refused: {caller.id} may act only on what it started itself",
        hint="ask the user to do it from outside",
    )


def kin(table: Table, one: str, other: str) -> bool:
    """Whether they are of one tree: what one may have started, told or given rights for the other. A model that one
    had made is of it, too."""
    return not _line(table, one).isdisjoint(_line(table, other))


def _line(table: Table, id_: str) -> set[str]:
    """`id_` and all who made it possible."""
    found, next_ = set[str](), id_ or None
    while next_ is not None and next_ not in found:
        found.add(next_)
        process = table.get(next_)
        next_ = None if process is None else process.row.parent or process.row.made_by
    return found


def visible(table: Table, caller: Caller) -> set[str] | None:
    """The ids that `caller` may see; None: all."""
    match caller.standing:
        case "user":
            return None
        case "process":
            return table.subtree(caller.id or "")
        case "nobody":
            return set()


def refused(message: str, hint: str | None = None) -> RefusedError:
    return RefusedError(message, hint=hint)
