"""Commands on a link that one client has for itself: blocking ones, and those about watched keys.

On a shared link a command that blocks would stop everybody behind it, and WATCH would watch for everybody. A private
link is borrowed from the lane for as long as it is needed, and closed when its client goes away meanwhile: that is how
the node learns that nobody waits for the blocked command any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.errands import Carried
from proxy.redirections import Ask
from proxy.routing import Route
from proxy.session import BLOCKED, Answer, ProxySession
from proxy.slot_map import Address
from proxy.topology import Topology
from proxy.upstream import Link
from wire.errors import Error

# A blocked command whose slot went to another node: the old one has this long to say so itself.
_GRACE_S = 0.5


class Private(Carried):
    """An errand that travels on a private link."""

    __slots__ = ("keep", "on_answer", "orphaned_at")

    def __init__(self, place: Answer, argv: list[bytes], slot: int | None, *, safe: bool, write: bool) -> None:
        super().__init__(place, argv, slot, safe=safe, write=write)
        # The client keeps the link after an answer without an error (WATCH).
        self.keep = False
        self.on_answer: Callable[[bool], None] | None = None
        # Since when the slot has had another owner than the node that was asked; 0: it has not.
        self.orphaned_at = 0.0

    def choose(self) -> Link | None:
        shared = super().choose()
        return self._borrow(shared.address) if shared is not None else None

    def link_to(self, redirection: Ask) -> Link:
        return self._borrow(redirection.address)

    def abandoned(self) -> None:
        if self.link is not None:
            self.session.private.pop(self.link, None)
            self.session.lane.give_back(self.link)
            self.link = None

    def answered(self, reply: bytes) -> None:
        good = not reply.startswith(b"-")
        if not (good and self.keep):
            self.abandoned()
        if self.on_answer is not None:
            self.on_answer(good)
        super().answered(reply)

    def _borrow(self, address: Address) -> Link:
        link = self.session.lane.borrow(address)
        self.session.private[link] = None
        return link


class Blocking:
    """Commands that may block: each waits on a private link, and its client's next commands wait for it."""

    __slots__ = ("_loop", "_topology", "_waiting")

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._loop = asyncio.get_running_loop()
        # Blocked commands on their way.
        self._waiting: dict[Private, None] = {}

    def run(self, session: ProxySession, argv: list[bytes], route: Route) -> None:
        """BLPOP and its like. After everything before it, because another connection keeps no order with ours."""
        try:
            slot = route.slot(argv)
        except Error as error:
            session.answer(error)
            return
        session.when_idle(lambda: self._start(session, argv, slot, route))

    def check_owners(self, now: float) -> None:
        """Called every now and then. A node that is frozen or cut off never tells its blocked clients that it has lost
        their slot, so we must; what became of the command nobody knows."""
        owners = self._topology.slot_map.owners
        for errand in list(self._waiting):
            owner = owners[errand.slot] if errand.slot is not None else None
            if errand.link is None or owner is None or owner == errand.link.address:
                errand.orphaned_at = 0.0
            elif not errand.orphaned_at:
                errand.orphaned_at = now
            elif now - errand.orphaned_at >= _GRACE_S:
                errand.link.close()

    def _start(self, session: ProxySession, argv: list[bytes], slot: int | None, route: Route) -> None:
        errand = Private(session.place(), argv, slot, safe=route.readonly, write=not route.readonly)
        session.pause(BLOCKED)
        self.dispatch(errand, lambda _: session.unpause(BLOCKED))

    def dispatch(self, errand: Private, ended: Callable[[bool], None]) -> None:
        """Send a command that may block, and see to it that it does not block for ever on a node that is no more."""

        def answered(good: bool) -> None:
            self._waiting.pop(errand, None)
            ended(good)

        errand.on_answer = answered
        self._waiting[errand] = None
        errand.session.errands.dispatch(errand)

    def forget(self, session: ProxySession) -> None:
        """The client has gone."""
        for errand in [errand for errand in self._waiting if errand.session is session]:
            del self._waiting[errand]
