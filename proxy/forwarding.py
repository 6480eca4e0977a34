"""Slices of a client's requests on a shared link: the road that nearly every command takes.

A run of neighbouring commands with one owner travels as one slice of the client's own bytes, and its replies come back
as slices of the node's. The run keeps the batch it came from; only when a reply is a redirection, or the link breaks,
does anybody look at a single command of it again.
"""

from __future__ import annotations

from proxy.errands import Carried
from proxy.redirections import read_redirection
from proxy.routing import RouteTable
from proxy.session import COMMAND_WEIGHT, FULL, WEIGHT_MAX, Answer, ProxySession
from proxy.upstream import Link
from wire.decoder import Batch


class Forwarded(Answer):
    """A run of commands that was sent to one node."""

    __slots__ = ("_batch", "_last", "_link", "_routes", "left")

    def __init__(
        self, session: ProxySession, link: Link, batch: Batch, first: int, last: int, size: int, routes: RouteTable
    ) -> None:
        # Not by way of the base class: this is the hot path.
        self.session = session
        self.ready = None
        self.done = False
        self.size = size
        self._batch = batch
        self._last = last
        self._link = link
        self._routes = routes
        # Replies due.
        self.left = last - first

    @property
    def in_flight(self) -> bool:
        return self.left > 0

    def replied(self, data: bytes, count: int) -> None:
        left = self.left = self.left - count
        session = self.session
        waiting = session.waiting
        if waiting and waiting[0] is self:
            session.out.append(data)
            connection = session.connection
            if connection is not None:
                session.turn.reply(connection)
            if not left:
                session.advance()
        else:
            if self.ready is None:
                self.ready = [data]
            else:
                self.ready.append(data)
            if not left:
                self.done = True
        if session.held:
            self._overtake(self._last - left - count, self._last - left)

    def refused(self, reply: bytes) -> None:
        redirection = read_redirection(reply[1:-2], self._link.address)
        if redirection is None:
            self.replied(reply, 1)
            return
        session = self.session
        errand = self._errand(self._last - self.left)
        self.left -= 1
        self._make_way([errand.place], stay=self.left > 0)
        session.errands.redirected(errand, redirection)

    def lost(self, sent: bool, why: str) -> None:
        first = self._last - self.left
        errands = [self._errand(index) for index in range(first, self._last)]
        self.left = 0
        self._make_way([errand.place for errand in errands], stay=False)
        for errand in errands:
            # Each decides by itself whether it may be tried again; it was this link that it had been sent on.
            self.session.flying += 1
            errand.lost(sent, why)

    def _errand(self, index: int) -> Carried:
        argv = self._batch.commands[index]
        route = self._routes.find(argv)
        slot = route.slot(argv) if route is not None else None
        safe = route is not None and route.readonly
        return Carried(Answer(self.session), argv, slot, safe=safe, write=not safe)

    def _make_way(self, places: list[Answer], *, stay: bool) -> None:
        """Put `places` in front of this one (for the rest of the run), or instead of it."""
        session = self.session
        if not session.waiting:
            # The client has gone.
            return
        early = Answer(session)
        early.ready, self.ready = self.ready, None
        early.done = True
        before = [early] if early.ready else []
        size = self.size
        session.replace(self, [*before, *places, *([self] if stay else [])])
        if stay:
            session.weight += size

    def _overtake(self, first: int, last: int) -> None:
        """Commands `first` to `last` - 1 were executed while others of the client are held."""
        for index in range(first, last):
            errand = self._errand(index)
            if errand.slot is not None and self.session.held:
                self.session.errands.overtaken(self.session, errand.slot, wrote=errand.write)


class Forwarder:
    """Puts runs of commands on links."""

    __slots__ = ("_routes",)

    def __init__(self, routes: RouteTable) -> None:
        self._routes = routes

    def forward(self, session: ProxySession, link: Link, batch: Batch, first: int, last: int) -> None:
        """Send commands `first` to `last` - 1 of `batch` on `link`."""
        data = batch.encoded(first, last)
        size = len(data) + (last - first) * COMMAND_WEIGHT
        session.weight += size
        run = Forwarded(session, link, batch, first, last, size, self._routes)
        session.waiting.append(run)
        session.spoke_to[link] = None
        link.send(data, run)
        if session.weight > WEIGHT_MAX:
            session.pause(FULL)

    def hold(self, session: ProxySession, argv: list[bytes], slot: int | None) -> None:
        """Nobody serves the slot now."""
        route = self._routes.find(argv)
        safe = route is not None and route.readonly
        place = session.place()
        session.errands.hold(Carried(place, argv, slot, safe=safe, write=not safe), b"CLUSTERDOWN Hash slot not served")
