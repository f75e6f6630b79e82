"""Where an agent's host stands between its turns: the conversation that it goes on with, and a checkpoint of each.

A turn begins and ends under the boundary's lock; what others have begun there is brought to its end first.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

from msgspec import structs

from aish.agents import adapters, parked
from aish.agents.checkpoints import branching, midway, rewinding, slots
from aish.agents.checkpoints import checkpoint as c
from aish.agents.checkpoints.checkpoint import Position
from aish.agents.checkpoints.midway import Midway
from aish.agents.checkpoints.shelf import Shelf, sweep_forgotten
from aish.agents.checkpoints.taking import Occasion, known_place, take
from aish.agents.checkpoints.usage import used
from aish.agents.host import program_folder
from aish.agents.transcript import Transcript
from aish.client import connect
from aish.errors import AishError, ConflictError, LimitError, NotFoundError, StorageError
from aish.wire.message import Inspect
from aish.wire.part import TokensPart
from aish.wire.reply import Inspected
from aish.worktree import naming, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aish.agents.checkpoints.midway import Given
    from aish.spi.agent_adapter import AgentAdapter
    from aish.wire.question import AnswerPart, OptionPart
    from aish.worktree.snapshot import Place

PATIENCE_S = 5.0
"""For the supervisor's figures; a turn does not depend on them."""
_NOT_DONE = "the turn did not come to its end, so that nobody asked for it"
_NO_CONVERSATION = "there is no conversation to go on with"


class Kept:
    """What a turn goes on with, and may keep. `session`: the program's own word for the conversation, `conversation`
    what its adapter has kept of it; `begins`: there was no turn yet."""

    def __init__(
        self, shelf: Shelf | None, *, newest_only: bool = False, tell: Callable[[str], None] = lambda line: None
    ) -> None:
        position = shelf.position if shelf is not None else Position()
        self._shelf, self.session, self.status = shelf, position.session, "failed"
        self._newest_only, self._tell = newest_only, tell
        self.begins = not position.turn
        self.midway: Midway | None = None
        self.resumed = False
        """The turn was begun before, and did not come to its end."""
        self._given: list[Given] = []
        kept = position.kept
        self.conversation = shelf.conversation(kept) if shelf is not None and kept is not None else None

    def begin_midway(self, of: str) -> None:
        """The turn may be parked in its middle, and may have been. Raises StorageError."""
        if self._shelf is None:
            return
        kept = self._shelf.midway
        if kept is not None and kept.of == of:
            self.resumed, self.midway, self._given = True, kept, list(kept.answers)
        else:
            self._keep(self._shelf, Midway(of=of))

    def keep_midway(self, conversation: bytes) -> None:
        """Raises StorageError."""
        if self._shelf is not None and self.midway is not None:
            self._keep(self._shelf, midway.further(self.midway, conversation))

    def _keep(self, shelf: Shelf, now: Midway) -> None:
        """Where the disk does not take it the turn goes on, and would begin with its beginning. Raises StorageError
        where what was kept before cannot be removed either: by that, what was done since would be done twice."""
        try:
            shelf.keep_midway(now)
            self.midway = now
        except (StorageError, LimitError) as error:
            shelf.end_midway()
            self.midway = None
            self._tell(f"if it is parked in this turn, the turn begins anew: {error}")

    def given(self, asked: str) -> AnswerPart | None:
        """What the person answered to that in the run before."""
        return midway.known(self._given, asked)

    def answered(self, asked: str, answer: AnswerPart, options: Sequence[OptionPart]) -> None:
        """Raises StorageError."""
        if self._shelf is not None and self.midway is not None:
            self._keep(self._shelf, midway.answered(self.midway, asked, answer, options))

    def result_came(self) -> None:
        """Of something that it did. Raises StorageError."""
        if self._shelf is None or self.midway is None:
            return
        now = midway.done(self.midway)
        if now != self.midway:
            self._keep(self._shelf, now)

    def is_called(self, id: str) -> None:
        """Kept at once: a turn that is killed is gone on with. Raises StorageError."""
        if self._shelf is None or self._shelf.position.session == id:
            return
        position = structs.replace(self._shelf.position, session=id)
        if self._newest_only:  # it was of the session before
            position = c.going_on(position, None)
        self._shelf.stand(position)

    def keep(self, conversation: bytes) -> None:
        """As it is after this turn. Raises StorageError, LimitError."""
        if self._shelf is None:
            return
        name, position = self._shelf.keep(conversation), self._shelf.position
        if name != position.kept:  # what its model's server had of the one before is less than all of it
            self._shelf.stand(c.going_on(position, name))


class _Self(NamedTuple):
    inspected: Inspected
    usage: TokensPart | None


class Points:
    """`folder` is that of the transcript; None: nobody keeps anything. `begin`: EPOCH-ID/N, the checkpoint of another
    agent that this one goes on from; `session` what its program calls the conversation that it begins with. `tell`
    is told what could not be done."""

    def __init__(
        self,
        folder: str | None,
        adapter: AgentAdapter,
        begin: str | None,
        tell: Callable[[str], None],
        session: str | None = None,
    ) -> None:
        self._shelf = Shelf(folder) if folder is not None else None
        self._adapter, self._tell = adapter, tell
        self._place: Place | None = None
        self._no_place = "it does not work in a worktree of its own (--worktree)"
        if self._shelf is None:
            return
        with self._shelf.boundary.turn() as lock:
            if begin is not None and not self._shelf.has_begun:
                _begin_from(self._shelf, begin)
            elif session is not None and not self._shelf.has_begun:
                self._shelf.stand(Position(session=session))
            rewinding.finish(self._shelf, (lock,))
            self._place = known_place(self._shelf)
            if not self._shelf.all():
                self._take(self._shelf, lock, c.BEGUN, None)

    @contextlib.contextmanager
    def turn(self, asked: str = "", *, anew: bool = False) -> Iterator[Kept]:
        """A turn, and the checkpoint after it. `asked` names what is asked of it: a message, or its words. `anew`:
        whatever there was, this run has one turn; only one that was parked in its middle goes on. Raises
        StorageError."""
        shelf = self._shelf
        if shelf is None:
            yield Kept(None)
            return
        with shelf.boundary.turn() as lock:
            rewinding.finish(shelf, (lock,))
            if anew and not self._goes_on(shelf, asked):
                shelf.end_midway()  # of a run that was stopped or killed: its answers were for that one
                shelf.stand(Position(last=shelf.position.last))
            newest_only = adapters.keeps_newest_only(self._adapter)
            if newest_only:
                branching.move_on(shelf, self._adapter.name)
            kept = Kept(shelf, newest_only=newest_only, tell=self._tell)
            if parked.may_be(os.environ):
                kept.begin_midway(midway.place(asked, shelf.position))
            self._tell_if(slots.use(shelf.position))
            try:
                yield kept
            finally:
                position = structs.replace(shelf.position, turn=shelf.position.turn + 1)
                shelf.stand(self._with_cache(position, kept.status))
                shelf.end_midway()
                self._take(shelf, lock, c.TURN, kept.status)

    def _goes_on(self, shelf: Shelf, asked: str) -> bool:
        """Whether the run before was parked in the middle of that turn."""
        kept = shelf.midway
        return parked.goes_on(os.environ) and kept is not None and kept.of == midway.place(asked, shelf.position)

    def _with_cache(self, position: Position, status: str) -> Position:
        """After a turn. One that came to nothing leaves the conversation as it was, and so what is kept of it."""
        if position.cache is not None:
            return position
        if position.kept is None or status != "done":
            return c.going_on(position, position.kept, uncached=_NOT_DONE if status != "done" else _NO_CONVERSATION)
        found = slots.kept(alone=not adapters.keeps_conversation(self._adapter))
        self._tell_if(found.told)
        return c.going_on(position, position.kept, found.slot, found.why)

    def _tell_if(self, told: str) -> None:
        if told:
            self._tell(told)

    def _take(self, shelf: Shelf, lock: int, why: str, status: str | None) -> None:
        """The turn is done: that there is no checkpoint of it is told, and nothing else."""
        myself = _inspected(asked=why != c.BEGUN)
        if why == c.BEGUN:
            self._find_place(myself, os.path.dirname(shelf.folder))
        key = os.path.basename(shelf.folder)
        epoch, _, id = key.partition("-")
        occasion = Occasion(
            why=why,
            agent=id,
            name=myself.inspected.process.name if myself is not None else os.environ.get("AISH_NAME", id),
            epoch=int(epoch) if epoch.isdigit() else 0,
            adapter=self._adapter.name,
            keeps_conversation=adapters.keeps_conversation(self._adapter),
            keeps_newest_only=adapters.keeps_newest_only(self._adapter),
            model=myself.inspected.process.model if myself is not None else None,
            usage=myself.usage if myself is not None else None,
            place=self._place,
            no_place=self._no_place,
            status=status,
        )
        try:
            take(shelf, occasion, (lock,))
        except AishError as error:
            self._tell(f"no checkpoint of this turn: {error}")

    def _find_place(self, myself: _Self | None, agents: str) -> None:
        """Now, before the program has run once: what it writes there does not lead us elsewhere."""
        folder, home = os.environ.get("AISH_WORKTREE"), os.environ.get("AISH_REPOSITORY", "")
        if myself is None:
            self._no_place = "the supervisor did not tell whether it has one"
        elif naming.LABEL in myself.inspected.spec.labels and folder:
            try:
                self._place = snapshot.place_of(folder, home)
                sweep_forgotten(self._place.common, agents)
            except AishError as error:
                self._no_place = str(error)


def _inspected(*, asked: bool) -> _Self | None:
    """What the supervisor knows of us; None: it does not answer. `asked`: a model, perhaps."""
    id = os.environ.get("AISH_ID", "")
    try:
        with connect(start=False, program="agent", patience_s=PATIENCE_S) as client:
            inspected = client.ask(Inspected, Inspect(target=id))
            return _Self(inspected, used(client, id, PATIENCE_S) if asked else TokensPart())
    except AishError:
        return None


def _begin_from(shelf: Shelf, begin: str) -> None:
    """Go on from the checkpoint of another agent: its conversation is ours from now on. Raises NotFoundError,
    ConflictError, StorageError."""
    key, _, number = begin.partition("/")
    source = Shelf(os.path.join(os.path.dirname(shelf.folder), os.path.basename(key)))
    agent = key.partition("-")[2]
    if not number.isdigit():
        raise NotFoundError(f"there is no checkpoint {begin}")
    wanted = source.get(int(number), agent)
    if c.CONVERSATION in wanted.missing:
        raise ConflictError(f"{wanted.id} has no conversation: {wanted.missing[c.CONVERSATION]}")
    kept = shelf.keep(source.conversation(wanted.conversation)) if wanted.conversation is not None else None
    program_folder.take_along(source.folder, shelf.folder)
    transcript = Transcript(shelf.transcript)
    transcript.write("begun", id=wanted.id, name=wanted.name, turn=wanted.turn)
    transcript.close()
    shelf.stand(slots.take_along(source, wanted, shelf, Position(kept=kept, turn=wanted.turn)))
