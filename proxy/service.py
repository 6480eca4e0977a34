"""The proxy as its listener sees it: clients come, send batches, and go.

The hot path is one loop over a batch: look the command up, take the slot of its key, and let a run grow for as long as
the next command goes to the same link. Only a command with a handler of its own, a client in a special condition, or a
slot that nobody serves leaves that loop.
"""

from __future__ import annotations

import asyncio
from binascii import crc_hqx
from collections.abc import Callable

from cluster.slots import key_slot
from proxy.call import ProxyCall
from proxy.errands import Carried, Errands
from proxy.forwarding import Forwarder
from proxy.lanes import Lanes
from proxy.private import Blocking
from proxy.routing import Route, RouteTable
from proxy.session import UNLEARNED, UNREAD, ProxySession
from proxy.transactions import Transactions
from proxy.upstream import Link
from wire.clients import Clients
from wire.command import IN_SUBSCRIPTION, NO_AUTH
from wire.connection import Connection
from wire.decoder import Batch
from wire.errors import NOAUTH, Error, wrong_arity
from wire.front import Front
from wire.session import ALWAYS, CLOSING, MUTED, NEEDS_AUTH, SUBSCRIBED, Session
from wire.turn import Turn

_MAX_CLIENTS = b"ERR max number of clients reached"
_LEFT_BRACE = 123
# Commands in one run; between two runs it is seen whether the client has too much under way.
_RUN_MAX = 256
# Inside MULTI these run at once.
_UNQUEUED = frozenset(("exec", "discard", "multi", "watch", "quit", "reset"))

# Unsent replies at which a client is no longer heard, at which it is again, and at which it is given up. Not to hear it
# is dangerous: many clients write a whole pipeline before they read anything, and would wait for us for ever, as we for
# them. So the first limit is far above what such pipelines ask for.
_UNREAD_HIGH = 64 * 1024 * 1024
_UNREAD_LOW = 16 * 1024 * 1024
_UNREAD_MAX = 512 * 1024 * 1024
_UNREAD_LOOK_S = 0.05


class ProxyService:
    """Implements `wire.connection.Service` for the proxy."""

    __slots__ = (
        "_blocking",
        "_clients",
        "_errands",
        "_forwarder",
        "_front",
        "_info",
        "_lanes",
        "_learned",
        "_loop",
        "_on_reset",
        "_routes",
        "_transactions",
        "_unlearned",
        "processed",
        "turn",
    )

    def __init__(
        self,
        turn: Turn,
        front: Front,
        clients: Clients[ProxySession],
        routes: RouteTable,
        lanes: Lanes,
        forwarder: Forwarder,
        errands: Errands,
        transactions: Transactions,
        blocking: Blocking,
        info: Callable[[list[bytes]], bytes],
        on_reset: Callable[[ProxySession], None],
    ) -> None:
        self.turn = turn
        self._loop = asyncio.get_running_loop()
        self._front = front
        self._clients = clients
        self._routes = routes
        self._lanes = lanes
        self._forwarder = forwarder
        self._errands = errands
        self._transactions = transactions
        self._blocking = blocking
        self._info = info
        self._on_reset = on_reset
        # Until the cluster has said which commands it has, clients wait that sent one which nobody has declared: it
        # might block, and stop everybody on a shared link.
        self._learned = False
        self._unlearned: dict[ProxySession, None] = {}
        # For INFO: commands taken since the start.
        self.processed = 0

    def connect(self) -> Connection:
        return Connection(self)

    def opened(self, connection: Connection) -> ProxySession | bytes:
        if self._clients.full:
            self._clients.rejected += 1
            return _MAX_CLIENTS
        lane = self._lanes.enter(proto=2)
        now_ms = self._front.clock.wall_ms()
        session = ProxySession(self._clients.next_id(), connection, now_ms, lane, self.turn, self._errands)
        session.address = _address(connection.transport.get_extra_info("peername"))
        session.local_address = _address(connection.transport.get_extra_info("sockname"))
        session.call = ProxyCall(self._front, session, self._info, self._on_reset)
        self._clients.add(session)
        self._front.admit(session)
        return session

    def closed(self, session: Session) -> None:
        assert isinstance(session, ProxySession)
        self._clients.remove(session)
        self._errands.forget(session)
        self._blocking.forget(session)
        self._unlearned.pop(session, None)
        session.forget_everything()
        self._lanes.leave(session.lane)

    def output_blocked(self, session: Session, pending: int) -> None:
        """The client reads more slowly than the nodes answer. It is not heard until it has caught up; what it has
        asked for already is kept for it, up to a limit."""
        assert isinstance(session, ProxySession)
        if pending > _UNREAD_MAX:
            session.drop()
        elif pending > _UNREAD_HIGH and not session.pauses & UNREAD:
            session.pause(UNREAD)
            self._loop.call_later(_UNREAD_LOOK_S, self._look_at_unread, session)

    def execute(self, session: Session, batch: Batch, start: int) -> int:
        assert isinstance(session, ProxySession)
        commands = batch.commands
        stop = len(commands)
        if session.mask & CLOSING:
            return stop
        session.last_seen_ms = self._front.clock.wall_ms()
        lookup = self._routes.by_name.get
        forward = self._forwarder.forward
        by_slot = session.lane.by_slot
        # The run that grows: where it begins, and its link (None: there is no run).
        first = index = start
        current: Link | None = None
        route: Route | None = None
        while index < stop:
            argv = commands[index]
            route = lookup(argv[0])
            link = None
            if route is not None and session.mask == ALWAYS:
                at = route.key or (len(argv) == route.lone)
                if at and at < len(argv):
                    key = argv[at]
                    link = by_slot[(crc_hqx(key, 0) & 0x3FFF) if _LEFT_BRACE not in key else key_slot(key)]
                    if link is current and link is not None and index - first < _RUN_MAX:
                        index += 1
                        continue
            if current is not None:
                forward(session, current, batch, first, index)
            current = link
            first = index
            if session.parked:
                current = None
                break
            if link is None:
                if route is None and not self._learned and not self._routes.knows(argv):
                    session.pause(UNLEARNED)
                    self._unlearned[session] = None
                    break
                self._run(session, batch, index)
                by_slot = session.lane.by_slot
                if session.parked or session.mask & CLOSING:
                    index += 1
                    break
            index += 1
        if current is not None:
            forward(session, current, batch, first, index)
            if route is not None:
                session.last_command = route.name
        self.processed += index - start
        return index

    def learned(self) -> None:
        """All is known of the cluster's commands that will be: whoever sent one that nobody has declared goes on."""
        self._learned = True
        unlearned, self._unlearned = self._unlearned, {}
        for session in unlearned:
            session.unpause(UNLEARNED)

    def _run(self, session: ProxySession, batch: Batch, index: int) -> None:
        """One command off the hot path."""
        argv = batch.commands[index]
        muted = session.mask & MUTED
        try:
            route = self._routes.find(argv)
            self._admit(session, argv, route)
            if session.transaction is not None and (route is None or route.name not in _UNQUEUED):
                self._transactions.queue(session, argv, route)
            elif route is not None and route.handler is not None:
                session.last_command = route.name
                if route.fits(len(argv)):
                    route.handler(session, argv, route)
                else:
                    raise wrong_arity(route.name)
            else:
                self._pass_on(session, batch, index, route)
        except Error as error:
            if session.transaction is not None:
                session.transaction.broken = True
            session.answer(error)
        if muted and session.skip_replies:
            session.skip_replies -= 1
            if not session.skip_replies:
                session.mask &= ~MUTED

    def _admit(self, session: ProxySession, argv: list[bytes], route: Route | None) -> None:
        """Whether the client may say that now; raises Error in Redis' words."""
        mask = session.mask
        flags = route.spec.flags if route is not None else 0
        if mask & NEEDS_AUTH and not flags & NO_AUTH:
            raise Error(NOAUTH)
        if mask & SUBSCRIBED and not flags & IN_SUBSCRIPTION:
            raise Error(
                b"ERR Can't execute '%b': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in "
                b"this context" % (route.name.encode() if route is not None else argv[0].lower())
            )

    def _pass_on(self, session: ProxySession, batch: Batch, index: int, route: Route | None) -> None:
        """Send one command to the node of its keys; raises Error CROSSSLOT."""
        argv = batch.commands[index]
        slot = route.slot(argv) if route is not None else None
        lane = session.lane
        link = lane.by_slot[slot] if slot is not None else lane.any(session.id)
        watching = session.watching
        if watching is not None and link is not None and watching.address == link.address and watching.up:
            # What is read under WATCH must be read after it.
            link = watching
        if link is not None and not session.mask & MUTED:
            self._forwarder.forward(session, link, batch, index, index + 1)
            return
        safe = route is not None and route.readonly
        self._errands.dispatch(Carried(session.place(), argv, slot, safe=safe, write=not safe))

    def _look_at_unread(self, session: ProxySession) -> None:
        connection = session.connection
        if connection is None:
            return
        if connection.pending_output <= _UNREAD_LOW:
            session.unpause(UNREAD)
        else:
            self._loop.call_later(_UNREAD_LOOK_S, self._look_at_unread, session)


def _address(name: object) -> str:
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else ""
