"""Requests that the proxy carries itself, and tries again while a failover lasts.

Most requests are forwarded in slices (`proxy.forwarding`). One that meets a redirection, or a node that is gone,
becomes an errand: it is sent again to whoever serves the slot now. Three rules keep that honest.

- Only what definitely did not happen is tried again: a redirection or refusal comes before execution, and so does a
  connection that broke before the request was written. A request that was written and never answered is tried again
  only if it is a read; a write gets an error that says that its outcome is unknown.
- A client's order is kept. While an errand is held, its client's next commands wait. What was under way at that moment
  may overtake it on another node's clock, so a held errand is answered with the refusal it met as soon as a later
  command of the same client on the same slot has, or may have, been executed (one of the two being a write).
- Nothing waits for ever: at its deadline a held errand is answered with an error that says it was not executed.
"""

from __future__ import annotations

import asyncio

from proxy.redirections import Ask, Later, Moved, Redirection, read_redirection
from proxy.session import HELD, Answer, ProxySession
from proxy.topology import Topology
from proxy.upstream import Link
from runtime import Randomness
from wire.encoder import encode_command, encode_error

_ASKING = encode_command([b"ASKING"])
# Redirections followed at once; a cluster that sends us round in circles is given time to agree with itself.
_HOPS_MAX = 5
# Between two tries.
_RETRY_MS = 25
_RETRY_MAX_MS = 200


def unknown_outcome(why: str) -> bytes:
    """The answer to a write that was sent and not answered."""
    return b"UNKNOWN %b: the command may or may not have been executed" % why.encode()


class Errand:
    """One request on its way. What to do with its answer is a subclass' business."""

    __slots__ = (
        "_prefix",
        "_refusal",
        "argv",
        "deadline",
        "hops",
        "left",
        "link",
        "reason",
        "safe",
        "session",
        "slot",
        "write",
    )

    def __init__(self, session: ProxySession, argv: list[bytes], slot: int | None, *, safe: bool, write: bool) -> None:
        self.session = session
        self.argv = argv
        # Whose owner to ask; None: any master.
        self.slot = slot
        # A read: sending it twice does no harm.
        self.safe = safe
        self.write = write
        # Replies due, and how many of them come before the one that matters (ASKING's, a transaction's QUEUED).
        self.left = 1
        self._prefix = 0
        # The first error among those.
        self._refusal = b""
        self.link: Link | None = None
        # Redirections followed since the last pause.
        self.hops = 0
        # Why it was held last.
        self.reason = b""
        # When it must have been answered; 0 until it is held for the first time.
        self.deadline = 0.0

    def requests(self) -> tuple[bytes, int]:
        """The bytes to send and the number of replies they ask for; the last one is the answer."""
        return encode_command(self.argv), 1

    def answered(self, reply: bytes) -> None:
        """The answer, encoded, error or not."""
        raise NotImplementedError

    def choose(self) -> Link | None:
        """The link to send it on; None when nobody serves its slot."""
        lane = self.session.lane
        return lane.by_slot[self.slot] if self.slot is not None else lane.any(self.session.id)

    def link_to(self, redirection: Ask) -> Link:
        """The link to the node that is to be asked this once."""
        return self.session.lane.link(redirection.address)

    def abandoned(self) -> None:
        """It leaves `self.link`, to be sent elsewhere or answered with an error."""

    # What the link calls.

    def send(self, link: Link, *, asking: bool = False) -> None:
        data, replies = self.requests()
        self._prefix = replies - 1 + asking
        self._refusal = b""
        self.left = replies + asking
        self.link = link
        self.session.flying += 1
        link.send(_ASKING + data if asking else data, self)

    def replied(self, data: bytes, count: int) -> None:
        self.left -= count
        while self._prefix and count:
            # Replies before the answer are single lines.
            data = data[data.index(b"\r\n") + 2 :]
            self._prefix -= 1
            count -= 1
        if count:
            self._arrived(data)

    def refused(self, reply: bytes) -> None:
        self.left -= 1
        if self._prefix:
            self._prefix -= 1
            self._refusal = self._refusal or reply
            return
        assert self.link is not None
        redirection = read_redirection((self._refusal or reply)[1:-2], self.link.address)
        if redirection is None:
            self._arrived(self.failure(self._refusal, reply))
            return
        self.session.flying -= 1
        self.abandoned()
        self.session.errands.redirected(self, redirection)

    def lost(self, sent: bool, why: str) -> None:
        self.session.flying -= 1
        self.abandoned()
        if sent and not self.safe:
            self.answered(encode_error(unknown_outcome(why)))
            self.session_overtakes()
        else:
            self.session.errands.hold(self, why.encode())

    def failure(self, _refusal: bytes, reply: bytes) -> bytes:
        """The client's answer when the last reply was an error, perhaps because of an earlier one."""
        return reply

    def session_overtakes(self) -> None:
        """This one was executed, or may have been: see the second rule."""
        if self.session.held and self.slot is not None:
            self.session.errands.overtaken(self.session, self.slot, wrote=self.write)

    def _arrived(self, reply: bytes) -> None:
        self.session.flying -= 1
        self.answered(reply)
        self.session_overtakes()


class Carried(Errand):
    """An errand for one command that has its own place among the client's replies."""

    __slots__ = ("place",)

    def __init__(self, place: Answer, argv: list[bytes], slot: int | None, *, safe: bool, write: bool) -> None:
        super().__init__(place.session, argv, slot, safe=safe, write=write)
        self.place = place

    def answered(self, reply: bytes) -> None:
        self.place.finish(reply)


class Errands:
    """Sends errands, and holds those that nobody can serve now."""

    __slots__ = (
        "_hold_ms",
        "_holding",
        "_loop",
        "_pause_ms",
        "_random",
        "_timer",
        "_topology",
        "held_total",
        "retried",
    )

    def __init__(self, topology: Topology, random: Randomness, hold_ms: int) -> None:
        self._topology = topology
        self._random = random.stream("proxy retries")
        self._hold_ms = hold_ms
        self._loop = asyncio.get_running_loop()
        # Clients with held errands.
        self._holding: dict[ProxySession, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._pause_ms = _RETRY_MS
        # For INFO.
        self.held_total = 0
        self.retried = 0
        topology.listeners.append(self._changed)

    def dispatch(self, errand: Errand) -> None:
        """Send it now, behind whatever its client has held."""
        link = None if errand.session.held else errand.choose()
        if link is None:
            self.hold(errand, b"Hash slot not served")
        else:
            errand.send(link)

    def redirected(self, errand: Errand, redirection: Redirection) -> None:
        """A node refused it with a redirection."""
        errand.hops += 1
        if isinstance(redirection, Moved):
            self._topology.moved(redirection.slot, redirection.address)
            # The only way to learn where a command belongs whose keys nobody has declared.
            errand.slot = redirection.slot
            if errand.hops > _HOPS_MAX:
                self.hold(errand, b"MOVED again and again")
            else:
                self.dispatch(errand)
        elif isinstance(redirection, Later):
            self.hold(errand, redirection.reason)
        elif errand.session.held or errand.hops > _HOPS_MAX:
            self.hold(errand, b"ASK again and again")
        else:
            errand.send(errand.link_to(redirection), asking=True)

    def hold(self, errand: Errand, reason: bytes) -> None:
        """Try it again later."""
        session = errand.session
        if not session.open:
            return
        now = self._loop.time()
        errand.hops = 0
        errand.link = None
        errand.reason = reason
        if not errand.deadline:
            errand.deadline = now + self._hold_ms / 1000
            self.held_total += 1
        self._topology.refresh()
        if now >= errand.deadline:
            self._give_up(errand)
            return
        session.held.append(errand)
        session.pause(HELD)
        self._holding[session] = None
        self._schedule()

    def overtaken(self, session: ProxySession, slot: int, *, wrote: bool) -> None:
        """A later command of the client on `slot` was executed, or may have been."""
        late = [errand for errand in session.held if errand.slot == slot and (wrote or errand.write)]
        for errand in late:
            session.held.remove(errand)
        for errand in late:
            text = b"CLUSTERDOWN not executed, because a later command of the pipeline overtook it while it waited: %b"
            errand.answered(encode_error(text % errand.reason))
        self._let_go(session)

    def forget(self, session: ProxySession) -> None:
        """The client has gone."""
        session.held.clear()
        self._holding.pop(session, None)

    def _changed(self, _slot: int | None) -> None:
        """The slot map changed: the best moment to try."""
        if self._holding:
            self._pause_ms = _RETRY_MS
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(0, self._try_again)

    def _schedule(self) -> None:
        if self._timer is None:
            delay_ms = self._pause_ms * self._random.uniform(0.75, 1.25)
            self._timer = self._loop.call_later(delay_ms / 1000, self._try_again)

    def _try_again(self) -> None:
        self._timer = None
        self._pause_ms = min(self._pause_ms * 2, _RETRY_MAX_MS)
        now = self._loop.time()
        for session in list(self._holding):
            for errand in [errand for errand in session.held if now >= errand.deadline]:
                session.held.remove(errand)
                self._give_up(errand)
            if not _in_flight(session):
                self._send_held(session)
            self._let_go(session)
        if self._holding:
            self._schedule()
        else:
            self._pause_ms = _RETRY_MS

    def _send_held(self, session: ProxySession) -> None:
        """Send what can be sent, in order. Errands of one slot share one link, so none of them overtakes another."""
        held, session.held = session.held, []
        kept = []
        for errand in held:
            link = errand.choose()
            if link is None or not link.usable:
                kept.append(errand)
            else:
                self.retried += 1
                errand.send(link)
        # Those that failed at once have been held again already, behind the others of their slot.
        session.held = kept + session.held

    def _let_go(self, session: ProxySession) -> None:
        if not session.held:
            self._holding.pop(session, None)
            session.unpause(HELD)

    def _give_up(self, errand: Errand) -> None:
        text = b"CLUSTERDOWN not executed within %d ms: %b" % (self._hold_ms, errand.reason)
        if self._topology.last_error:
            # Why nobody could say where the slot is served.
            text += b" (" + self._topology.last_error.encode() + b")"
        errand.answered(encode_error(text))


def _in_flight(session: ProxySession) -> bool:
    """Whether replies to forwarded requests are still to come: until then it is not known what has overtaken what."""
    return session.flying > 0 or any(place.in_flight for place in session.waiting)
