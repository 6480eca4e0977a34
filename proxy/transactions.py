"""MULTI, EXEC, DISCARD, WATCH and UNWATCH.

The proxy queues a transaction's commands itself, answering QUEUED, and sends MULTI, the commands and EXEC as one slice
when EXEC comes. On a shared link nothing can come in between, so a transaction needs no connection of its own, and one
that was refused (its slot moved, its node died before it was sent) can be sent again as a whole. Watched keys are
another matter: WATCH gives the client a private link to the node of its keys, and EXEC travels on that one.

All keys must be in one slot, as in any Redis Cluster; the command that breaks this is refused with CROSSSLOT.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.errands import Carried, Errand
from proxy.lanes import Lane
from proxy.private import Private
from proxy.redirections import read_redirection
from proxy.routing import CROSSSLOT, Route
from proxy.session import WATCHING, Answer, ProxySession
from proxy.upstream import Link
from wire.encoder import NIL_3, NIL_ARRAY_2, encode_command, encode_error
from wire.errors import EXECABORT, Error, unknown_command, wrong_arity
from wire.reply import OK, QUEUED
from wire.session import IN_MULTI

_MULTI = encode_command([b"MULTI"])
_EXEC = encode_command([b"EXEC"])
_UNWATCH = encode_command([b"UNWATCH"])
_ABORTED = b"-EXECABORT"

_NESTED = b"ERR MULTI calls can not be nested"
_WATCH_INSIDE = b"ERR WATCH inside MULTI is not allowed"


class Transaction:
    """Commands queued since MULTI."""

    __slots__ = ("broken", "commands", "safe", "slot")

    def __init__(self) -> None:
        self.commands: list[list[bytes]] = []
        # The slot of all keys so far.
        self.slot: int | None = None
        # Only reads so far.
        self.safe = True
        # A command was refused: EXEC will be, too.
        self.broken = False


class TransactionErrand(Carried):
    """A whole transaction on its way: MULTI, its commands, EXEC. The last reply is the answer."""

    __slots__ = ("_commands",)

    def __init__(self, place: Answer, transaction: Transaction) -> None:
        super().__init__(place, [b"EXEC"], transaction.slot, safe=transaction.safe, write=not transaction.safe)
        self._commands = transaction.commands

    def requests(self) -> tuple[bytes, int]:
        data = b"".join((_MULTI, *[encode_command(argv) for argv in self._commands], _EXEC))
        return data, len(self._commands) + 2

    def failure(self, refusal: bytes, reply: bytes) -> bytes:
        """Our QUEUED hid from the client why a command was refused, so EXEC's error says it."""
        if refusal and reply.startswith(_ABORTED):
            return encode_error(b"EXECABORT Transaction discarded because of: " + refusal[1:-2])
        return reply


class WatchedTransaction(Errand):
    """A transaction on the link that watches. It cannot be sent anywhere else: a redirection, or a link that broke
    before it was sent, means that the keys can no longer be vouched for, which is what a null reply says."""

    __slots__ = ("_finished", "_inner")

    def __init__(self, inner: TransactionErrand, finished: Callable[[], None]) -> None:
        super().__init__(inner.session, inner.argv, None, safe=False, write=inner.write)
        self._inner = inner
        self._finished = finished

    def requests(self) -> tuple[bytes, int]:
        return self._inner.requests()

    def refused(self, reply: bytes) -> None:
        if self._prefix:
            super().refused(reply)
            return
        self.left -= 1
        assert self.link is not None
        redirection = read_redirection((self._refusal or reply)[1:-2], self.link.address)
        self._arrived(_null(self.session) if redirection else self._inner.failure(self._refusal, reply))

    def lost(self, sent: bool, why: str) -> None:
        if sent:
            super().lost(sent, why)
        else:
            self._arrived(_null(self.session))

    def answered(self, reply: bytes) -> None:
        self._inner.answered(reply)
        self._finished()


class WatchedMore(Carried):
    """Another WATCH on the link that watches already. Should it fail because of the cluster, the link is closed: then
    EXEC will say that the keys cannot be vouched for, and WATCH itself need not say anything."""

    __slots__ = ()

    def refused(self, reply: bytes) -> None:
        self.left -= 1
        assert self.link is not None
        if read_redirection(reply[1:-2], self.link.address):
            self.link.close()
            reply = b"+OK\r\n"
        self._arrived(reply)

    def lost(self, sent: bool, why: str) -> None:  # noqa: ARG002 - one answer for all
        self._arrived(b"+OK\r\n")


class _Unwatched:
    """Waits for UNWATCH on a link that its client has done with."""

    __slots__ = ("_lane", "_link", "left")

    def __init__(self, lane: Lane, link: Link) -> None:
        self._lane = lane
        self._link = link
        self.left = 1

    def replied(self, _data: bytes, _count: int) -> None:
        self.left = 0
        self._lane.give_back(self._link)

    def refused(self, _reply: bytes) -> None:
        self.left = 0
        self._link.close()

    def lost(self, _sent: bool, _why: str) -> None:
        self._link.close()


class Transactions:
    """The commands; each is a handler of the service."""

    __slots__ = ()

    def multi(self, session: ProxySession, _argv: list[bytes], _route: Route) -> None:
        if session.transaction is not None:
            session.answer(Error(_NESTED))
            return
        session.transaction = Transaction()
        session.mask |= IN_MULTI
        session.answer(OK)

    def queue(self, session: ProxySession, argv: list[bytes], route: Route | None) -> None:
        """A command inside MULTI."""
        transaction = session.transaction
        assert transaction is not None
        try:
            slot = self._check(session, transaction, argv, route)
        except Error as error:
            transaction.broken = True
            session.answer(error)
            return
        transaction.slot = slot
        transaction.safe = transaction.safe and route is not None and route.readonly
        transaction.commands.append(argv)
        session.answer(QUEUED)

    def exec(self, session: ProxySession, _argv: list[bytes], _route: Route) -> None:
        transaction = session.transaction
        if transaction is None:
            session.answer(Error(b"ERR EXEC without MULTI"))
            return
        self._leave(session)
        if transaction.broken:
            self.forget_watches(session)
            session.answer(Error(EXECABORT))
        elif session.watching is None:
            session.errands.dispatch(TransactionErrand(session.place(), transaction))
        else:
            self._exec_watched(session, transaction, session.watching)

    def discard(self, session: ProxySession, _argv: list[bytes], _route: Route) -> None:
        if session.transaction is None:
            session.answer(Error(b"ERR DISCARD without MULTI"))
            return
        self._leave(session)
        self.forget_watches(session)
        session.answer(OK)

    def watch(self, session: ProxySession, argv: list[bytes], route: Route) -> None:
        if session.transaction is not None:
            session.answer(Error(_WATCH_INSIDE))
            return
        try:
            slot = route.slot(argv)
        except Error as error:
            session.answer(error)
            return
        # What the client sent before may still be under way on a shared link; WATCH must not overtake it.
        session.when_idle(lambda: self._watch(session, argv, slot))

    def unwatch(self, session: ProxySession, _argv: list[bytes], _route: Route) -> None:
        self.forget_watches(session)
        session.answer(OK)

    def forget_watches(self, session: ProxySession) -> None:
        """Give the watching link back, unless it cannot be made to watch no more for its next user."""
        link = self._unpin(session)
        if link is not None:
            session.private.pop(link, None)
            link.send(_UNWATCH, _Unwatched(session.lane, link))

    def reset(self, session: ProxySession) -> None:
        """RESET: no transaction, no watched keys."""
        self._leave(session)
        self.forget_watches(session)

    def _check(
        self, session: ProxySession, transaction: Transaction, argv: list[bytes], route: Route | None
    ) -> int | None:
        """The slot of the transaction with this command; raises Error."""
        if route is None:
            raise unknown_command(argv)
        if not route.fits(len(argv)):
            raise wrong_arity(route.name)
        if route.handler is not None and not route.in_multi:
            raise Error(b"ERR the proxy does not take %s inside a transaction" % route.name.upper().encode())
        slot = route.slot(argv)
        if slot is None:
            return transaction.slot
        if transaction.slot not in (None, slot):
            raise Error(CROSSSLOT)
        if self._elsewhere(session, slot):
            raise Error(CROSSSLOT)
        return slot

    def _watch(self, session: ProxySession, argv: list[bytes], slot: int | None) -> None:
        watching = session.watching
        place = session.place()
        if watching is None:
            errand = Private(place, argv, slot, safe=True, write=False)
            errand.keep = True
            errand.on_answer = lambda good: self._pin(session, errand.link if good else None)
            session.errands.dispatch(errand)
        elif self._elsewhere(session, slot):
            place.finish(encode_error(CROSSSLOT))
        else:
            WatchedMore(place, argv, slot, safe=False, write=False).send(watching)

    def _pin(self, session: ProxySession, link: Link | None) -> None:
        if link is None:
            return
        session.watching = link
        session.mask |= WATCHING
        # A link that reconnected would watch nothing, so it must not.
        link.on_lost = lambda _: link.close()

    def _elsewhere(self, session: ProxySession, slot: int | None) -> bool:
        """Whether `slot` is served by another node than the one that watches."""
        watching = session.watching
        shared = session.lane.by_slot[slot] if slot is not None else None
        return watching is not None and shared is not None and shared.address != watching.address

    def _exec_watched(self, session: ProxySession, transaction: Transaction, link: Link) -> None:
        def finished() -> None:
            # EXEC has ended the watch, whatever came of it.
            session.private.pop(link, None)
            session.lane.give_back(link)

        self._unpin(session)
        WatchedTransaction(TransactionErrand(session.place(), transaction), finished).send(link)

    def _unpin(self, session: ProxySession) -> Link | None:
        link, session.watching = session.watching, None
        session.mask &= ~WATCHING
        return link

    def _leave(self, session: ProxySession) -> None:
        session.transaction = None
        session.mask &= ~IN_MULTI


def _null(session: ProxySession) -> bytes:
    """EXEC's reply when a watched key was touched."""
    return NIL_3 if session.proto == 3 else NIL_ARRAY_2
