"""From a request to its answer, with as many attempts as that may take: see docs/adr/0017-fall-backs.md.

for the model that was asked for, then for each of its fall-backs:
    a ready server -> reserved -> asked -> the first byte goes to the client: from here on there is no other attempt
       |                            |
       |                            failed -> another server of that name, at once
       |                                   -> the same ones after a pause, where that was asked for
       none                                -> the next fall-back
a usage window is reserved -> it waits, or the model that its process names for that answers
nobody: the client is told why the model that it asked for did not answer
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import AishError, RefusedError, StorageError, UnavailableError, UpstreamError
from aish.model.dialect import CLIENT
from aish.supervisor.gateway.asking import Asking
from aish.supervisor.gateway.course import Course, FailedError, MovedError, NoAnswerError, NoRoomError
from aish.supervisor.gateway.delivery import Delivery
from aish.supervisor.gateway.dialects.crossing import cross
from aish.supervisor.gateway.dialects.last_message import added
from aish.supervisor.gateway.failure import Failure, Patience, clause, unusable
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.rests import RestingError
from aish.supervisor.gateway.routes import DEFAULT, origin, widest
from aish.supervisor.gateway.turns import NobodyError
from aish.supervisor.gateway.waits import AskAgainError
from aish.wire.account import WRAPUP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.supervisor.gateway.bell import Bell
    from aish.supervisor.gateway.budget import Claim, Reservation
    from aish.supervisor.gateway.claims import Claims, Limit
    from aish.supervisor.gateway.dialects.crossing import Crossing
    from aish.supervisor.gateway.fallbacks import Fallbacks
    from aish.supervisor.gateway.keys import Keys
    from aish.supervisor.gateway.models import Models
    from aish.supervisor.gateway.probe import Probes
    from aish.supervisor.gateway.rests import Rests
    from aish.supervisor.gateway.routes import Directory, Server
    from aish.supervisor.gateway.row import Row
    from aish.supervisor.gateway.settling import Exchange, Settling
    from aish.supervisor.gateway.slots import Slots
    from aish.supervisor.gateway.spending import Spending
    from aish.supervisor.gateway.turns import Turns
    from aish.supervisor.gateway.upstream import Upstreams
    from aish.supervisor.gateway.web import Answer
    from aish.supervisor.gateway.windows.gate import Gate
    from aish.wire.spec import LastWordPart

ATTEMPTS: Final = "x-aish-attempts"
"""How often a server was asked, where that was more than once."""
MODEL: Final = "x-aish-model"
"""Who answers, where it is not the model that was asked for."""


_VAIN: Final = (UpstreamError, UnavailableError, StorageError)
"""What keeps a model from answering: it becomes a NoAnswerError. But NobodyError does not."""


class Attempts:
    """One per gateway."""

    def __init__(
        self,
        *,
        bell: Bell,
        directory: Directory,
        keys: Keys,
        models: Models,
        turns: Turns,
        gate: Gate,
        probes: Probes,
        rests: Rests,
        fallbacks: Fallbacks,
        claims: Claims,
        settling: Settling,
        spending: Spending,
        slots: Slots,
        upstreams: Upstreams,
    ) -> None:
        self._bell = bell
        self._directory = directory
        self._keys = keys
        self._models = models
        self._turns = turns
        self._gate = gate
        self._probes = probes
        self._rests = rests
        self._fallbacks = fallbacks
        self._claims = claims
        self._settling = settling
        self._spending = spending
        self._slots = slots
        self._upstreams = upstreams

    async def answer(self, exchange: Exchange, path: str, body: bytes) -> Answer:
        """Raises AishError, which is for the client (AnsweredError: in the server's own words), and HungUpError."""
        call = exchange.dialect.parse(path, body)
        exchange.asked = call.model
        exchange.row.model, exchange.row.stream = call.model or DEFAULT, call.stream
        exchange.live.model = exchange.row.model
        course = Course(exchange, call, call)
        to = self._directory.switched(exchange.row.process)
        if to is not None and not course.embedding:  # vectors of another model would mean nothing to it
            course.logins = _logins(self._models.of(course.name))
            course.model = to
        course.patient = not self._following(course)
        course.well = partial(self._fallbacks.over, call.model)
        try:
            try:
                return await self._of_model(course)
            except MovedError as moved:
                to, why = moved.to, str(moved)
            return await self._moved(course, to, why)
        except NoAnswerError as failed:
            first, row = failed.error, exchange.row
            where = row.model, row.server
            answer = await self._elsewhere(course, first)
        if answer is not None:
            return answer
        if exchange.unused and not exchange.settled:  # nobody answered: it is the asked model's failure
            exchange.row.model, exchange.row.server = where
        raise first

    # --- other models -------------------------------------------------------------------------------------------

    def _following(self, course: Course) -> tuple[str, ...]:
        """The models that may answer in its place."""
        named = [server.fallback for server in self._models.of(course.name) if server.fallback]
        if not named or course.alone:
            return ()
        return tuple(dict.fromkeys(name for names in named for name in names))

    async def _elsewhere(self, course: Course, error: AishError) -> Answer | None:
        """A fall-back's answer; None where nobody has one."""
        own, following = self._models.of(course.name), self._following(course)
        asked = own[0].name if own else course.call.model or DEFAULT
        course.logins = _logins(own)
        for place, name in enumerate(following):
            course.model, course.patient, course.further = name, place + 1 == len(following), False
            course.tried = set(course.seen)
            if own:
                course.well = partial(self._fallbacks.began, own[0], name, clause(str(error), own[0].name))
            try:
                return await self._of_model(course)
            except RefusedError:  # the caller has ended
                raise
            except NoAnswerError as failed:
                log("fall-back", f"{asked} -> {name}: {failed}")
            except AishError as failed:  # it cannot be asked this, or does not want to answer that
                log("fall-back", f"{asked} -> {name}: {failed}")
        return None

    async def _moved(self, course: Course, to: str, why: str) -> Answer:
        """Its process wants another model to answer rather than to wait. Raises as `_of_model`."""
        exchange, process = course.exchange, course.exchange.row.process
        own, patient, well = course.model, course.patient, course.well
        course.logins = _logins(self._models.of(course.name))
        course.model, course.patient, course.moves = to, True, False
        course.well = partial(self._fallbacks.moved, process, to, why)
        try:
            return await self._of_model(course)
        except RefusedError:  # the caller has ended
            raise
        except NoAnswerError as failed:
            if exchange.attempts:  # the failure of who was asked
                raise failed.error from failed
            log("window", f"{process} waits, {to} cannot be asked: {failed}")
        except AishError as error:
            if exchange.attempts:
                raise
            log("window", f"{process} waits, {to} cannot be asked: {error}")
        course.model, course.patient, course.well = own, patient, well
        course.further, course.tried = False, set()
        return await self._of_model(course)

    # --- one model ----------------------------------------------------------------------------------------------

    async def _of_model(self, course: Course) -> Answer:
        """Raises NoAnswerError, and AishError of what no other attempt mends."""
        patience: Patience | None = None
        failure: Failure | None = None
        while True:
            try:
                return await self._attempt(course)
            except FailedError as failed:
                failure, server = failed.failure, failed.server
                patience = patience or Patience(server.retries)
                course.exchange.fails(failure.told)
                if not failure.elsewhere:
                    raise failure.error from failed
                course.tried.add(server)
            except (NoRoomError, NobodyError) as error:
                if failure is None or patience is None:
                    raise NoAnswerError(error) from error
                if isinstance(error, NoRoomError) or not await self._later(course, patience, failure):
                    raise NoAnswerError(failure.error) from error
            course.further = True

    async def _later(self, course: Course, patience: Patience, failure: Failure) -> bool:
        """Wait for as long as there is patience: whether a server can be asked then."""
        exchange, loop, name = course.exchange, asyncio.get_running_loop(), course.exchange.live.model
        course.tried = set()
        while (pause_s := patience.pause_s(failure, random.random())) is not None:
            log("retry", f"{name} again in {pause_s:.2f} s: {failure.why}")
            exchange.live.why = f"asks {name} again: {failure.why}"
            exchange.live.note = f"{name} is asked again in {math.ceil(pause_s)} s: {failure.why}"
            until_s = loop.time() + pause_s
            try:
                while await self._bell.wait_until(until_s):
                    self._keys.alive(exchange.row.process)
                    if patience.retries == 0 and not self._models.answers(course.name, embedding=course.embedding):
                        break  # it is gone, as the probe says: this last try would fail, too
            finally:
                exchange.live.note = ""
            if self._models.open(course.name, embedding=course.embedding, fits=course.fits):
                return True
        return False

    # --- one attempt --------------------------------------------------------------------------------------------

    async def _attempt(self, course: Course) -> Answer:
        """Raises FailedError, NoRoomError, NobodyError, NoAnswerError; AishError of what no other attempt mends."""
        exchange = course.exchange
        while True:
            course.last = self._last_word(course)
            course.call = course.said if course.last is None else added(course.said, course.last.message)
            wish = course.wish
            try:
                servers = self._turns.at_once(exchange, wish) or await self._turns.ready(exchange, wish)
            except NobodyError:
                raise
            except RestingError as error:
                if not await self._kept_back(course):
                    raise NoAnswerError(error) from error
                continue
            except _VAIN as error:
                raise NoAnswerError(error) from error
            servers = course.able(servers, self._models.of(wish.name, embedding=course.embedding))
            if servers and self._gate.rules.rules:
                servers = await self._admitted(course, servers)
            elif servers and course.model is None:
                self._fallbacks.back(exchange.row.process)
            if not servers:
                continue
            self._begin_anew(course)
            try:
                claim, reservation = await self._prepared(course, servers)
            except AskAgainError:
                continue
            try:
                with await self._turns.turn(exchange, wish) as server:
                    if server in servers:
                        crossing = cross(course.call, exchange.dialect, server, course.model)
                        limit = self._claims.limit(crossing.call, server, claim, reservation)
                        return await self._send(course, crossing, server, limit)
            except NobodyError:
                raise
            except _VAIN as error:
                raise NoAnswerError(error) from error
            # It came later than the claim was made, and may cost more.

    async def _admitted(self, course: Course, servers: tuple[Server, ...]) -> tuple[Server, ...]:
        """Those that the rules over usage windows let it go to. None, after a while, where it had to wait for that.

        Raises NobodyError where it does not wait: it is a fall-back, or another attempt."""
        exchange, gate = course.exchange, self._gate
        process, headers = exchange.row.process, exchange.request.headers
        barriers = {server: await gate.barrier(server, headers, process) for server in servers}
        free = tuple(server for server, barrier in barriers.items() if barrier is None)
        if free:
            if course.model is None:
                self._fallbacks.back(process)
            course.tried |= barriers.keys() - set(free)
            return free
        server, barrier = next(iter(barriers.items()))
        assert barrier is not None
        if course.model is not None or course.further:
            raise NobodyError(f"{server.name} cannot be asked now: {gate.told(barrier)}")
        to = gate.elsewhere(process)
        if to is not None and course.moves and not course.alone and server not in self._models.of(to):
            raise MovedError(to, gate.told(barrier))
        if course.reservation is not None:  # others may have it meanwhile
            self._spending.give_back(exchange.row.number)
            course.claim = course.reservation = None
        await gate.wait(server, headers, exchange.live, barrier, partial(self._keys.alive, process))
        return ()

    async def _kept_back(self, course: Course) -> bool:
        """All of its servers rest: whether the rules over usage windows kept it from them as well, until now. A full
        window is heard of by such a rest, and that is over long before the window begins anew. With fall-backs they
        answer meanwhile, as at every rest. Raises MovedError."""
        if course.model is not None or course.further or not course.patient or not self._gate.rules.rules:
            return False
        exchange = course.exchange
        process, headers = exchange.row.process, exchange.request.headers
        servers = tuple(filter(course.fits, self._models.of(course.name, embedding=course.embedding)))
        barriers = [await self._gate.barrier(server, headers, process) for server in servers]
        if not barriers or None in barriers:
            return False
        await self._admitted(course, servers)
        return True

    def _begin_anew(self, course: Course) -> None:
        """What the attempt before may have used is settled for itself; one that used nothing leaves its row."""
        exchange = course.exchange
        if exchange.sent_s is None or exchange.settled:
            return
        exchange.live.model_id, exchange.live.answering = None, False
        exchange.live.tokens = exchange.live.seen_tokens = 0
        if exchange.unused:
            exchange.again()
        else:
            course.claim = course.reservation = None
            course.late = self._settling.settle(exchange.ended())

    def _last_word(self, course: Course) -> LastWordPart | None:
        return self._directory.last_word(course.exchange.row.process)

    async def _prepared(self, course: Course, servers: Sequence[Server]) -> tuple[Claim, Reservation]:
        """Reserve what asking one of them may take. Raises AskAgainError: what is to be asked is another by now."""
        exchange = course.exchange
        server = widest(servers)  # what is reserved is enough for any of them
        crossing = cross(course.call, exchange.dialect, server, course.model)
        exchange.call = crossing.call
        number = self._spending.number() if exchange.settled else exchange.row.number
        grace = None if course.last is None else WRAPUP + exchange.row.process
        claim = await self._claims.of(exchange, crossing.call, server, servers, number, grace)
        # From here until it waits for tokens nobody else's turn comes in between.
        self._keys.alive(exchange.row.process)
        if self._last_word(course) != course.last:
            raise AskAgainError
        return claim, await self._reserve(course, server, claim)

    async def _reserve(self, course: Course, server: Server, claim: Claim) -> Reservation:
        """Raises NoRoomError for a further attempt, and what Spending.reserve raises."""
        exchange = course.exchange
        row = msgspec.structs.replace(exchange.row, number=claim.number) if exchange.settled else exchange.row
        if exchange.settled:
            _renew(row)
            exchange.began_s = time.monotonic()
        before = row.model, row.server
        row.model, row.server = server.shown_as(course.name), server.id
        exchange.live.model = server.name
        kept = course.reservation
        if kept is not None and course.claim is not None and claim.same(course.claim):
            return kept
        course.claim = course.reservation = None
        if not exchange.attempts:
            reservation = await self._spending.reserve(row, claim, exchange.live)
        else:
            try:
                reservation = await self._further(course, row, claim)
            except BaseException:
                row.model, row.server = before  # it was not asked
                raise
        exchange.row, exchange.settled = row, False
        course.claim, course.reservation = claim, reservation
        return reservation

    async def _further(self, course: Course, row: Row, claim: Claim) -> Reservation:
        """Raises NoRoomError."""
        reservation = await self._spending.again(row, claim)
        if reservation is None and course.late is not None:  # it may give back some
            await asyncio.wait((course.late,))
            reservation = await self._spending.again(row, claim)
        if reservation is None:
            raise NoRoomError("a budget has no room for a further attempt")
        return reservation

    async def _send(self, course: Course, crossing: Crossing, server: Server, limit: Limit) -> Answer:
        exchange = course.exchange
        exchange.unused = True  # until the server took it
        body = crossing.body(limit.each)
        if self._slots.wants(exchange.row.process):
            await self._slots.before(exchange.row.process, server, crossing.path)
        try:
            if server.key is not None or server.ca_file is not None:
                await self._upstreams.prepare(server)
            scrub = self._upstreams.scrub(server)  # of the key that the next lines send, whatever the file has later
        except StorageError as error:
            self._probes.doubt(server)
            raise FailedError(server, unusable(error)) from error
        headers = crossing.headers(exchange.request.headers)
        asking = Asking(server, exchange.row.number, self._probes, self._rests, course.well)
        if not asking.begins():
            raise FailedError(server, self._rests.failure(server))
        course.seen.add(server)
        exchange.server, exchange.call = server, crossing.call
        exchange.row.model, exchange.row.server = server.shown_as(course.name), server.id
        exchange.attempts += 1
        exchange.over_s = None
        exchange.sent_s = time.monotonic()  # the loop's own clock stands still within a turn
        exchange.live.sent, exchange.live.model_id = True, server.id
        try:
            exchange.unused = False
            try:
                response = await self._upstreams.post(server, crossing.path, body, headers)
            except UpstreamError as error:
                # 504: it may be at work on it still. Else it never took the request.
                exchange.unused = error.status != 504
                raise
            try:
                told = limit.told(exchange.row.process) | _told(course)
                answer = await Delivery(asking, exchange, crossing, response, scrub, told).pass_on()
            finally:
                response.close()  # whatever is left of the reply is not wanted: the server's slot is free at once
        except UpstreamError as error:
            raise FailedError(server, asking.failed(error)) from error
        finally:
            asking.over()
        if exchange.row.status == 200:
            self._slots.answered(exchange.row.process, server, crossing, body, exchange.used)
        return answer


def _logins(servers: Sequence[Server]) -> set[str]:
    """Where a client's own login may go that was meant for one of these."""
    return {origin(server.url) for server in servers if server.login == CLIENT}


def _told(course: Course) -> dict[str, str]:
    """Headers of an answer."""
    headers = {} if course.model is None else {MODEL: course.model}
    return headers if course.exchange.attempts < 2 else {**headers, ATTEMPTS: str(course.exchange.attempts)}


def _renew(row: Row) -> None:
    """The row of an attempt of its own, of which nothing is known yet."""
    row.time_s = time.time()
    row.status = row.first_token_s = row.seconds = row.cost_usd = row.price = None
    row.subscription = None
    row.input = row.output = row.cached = row.written = row.reasoning = row.bytes_out = 0
