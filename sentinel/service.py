"""A sentinel as its listener sees it: sessions come, send commands, and go.

Short, because a sentinel has no data: no keys, no transactions, no blocking commands. The refusals that
remain are those of any Redis server: authentication, what a user may do, and what a subscribed connection may say.
"""

from __future__ import annotations

from collections.abc import Callable

from sentinel.call import Call
from wire.acl.accounts import Accounts
from wire.clients import Clients
from wire.command import IN_SUBSCRIPTION, NO_AUTH
from wire.connection import Connection
from wire.decoder import Batch
from wire.encoder import encode_into
from wire.errors import NOAUTH, Error
from wire.front import Front
from wire.reply import NO_REPLY, PARKED, Reply
from wire.session import CLOSING, MUTED, NEEDS_AUTH, RESTRICTED, SUBSCRIBED, Session
from wire.table import Command, CommandTable
from wire.turn import Turn

_MAX_CLIENTS = b"ERR max number of clients reached"
# Subscribers that do not read are dropped at this many unsent bytes (`client-output-buffer-limit pubsub`).
_UNSENT_MAX = 32 * 1024 * 1024


class SentinelSession(Session):
    """A client of a sentinel."""

    __slots__ = ("call",)

    call: Call


class SentinelService:
    """Implements `wire.connection.Service` for a sentinel."""

    __slots__ = (
        "_accounts",
        "_begun",
        "_clients",
        "_front",
        "_gone_in",
        "_gone_out",
        "_make_call",
        "_table",
        "errors",
        "processed",
        "turn",
    )

    def __init__(
        self,
        turn: Turn,
        front: Front,
        clients: Clients[SentinelSession],
        table: CommandTable,
        accounts: Accounts,
        make_call: Callable[[SentinelSession], Call],
    ) -> None:
        self.turn = turn
        self._front = front
        self._clients = clients
        self._table = table
        self._accounts = accounts
        self._make_call = make_call
        # Whether the sentinel has started: those who come before wait.
        self._begun = False
        # For INFO: commands run since the start, errors replied, and bytes of clients that have gone.
        self.processed = 0
        self.errors = 0
        self._gone_in = 0
        self._gone_out = 0

    @property
    def bytes_in(self) -> int:
        """What clients have sent since the start."""
        return self._gone_in + sum(session.connection.bytes_in for session in self._clients if session.connection)

    @property
    def bytes_out(self) -> int:
        return self._gone_out + sum(session.connection.bytes_out for session in self._clients if session.connection)

    def begin(self) -> None:
        """Run commands from now on."""
        self._begun = True
        for session in self._clients:
            if session.connection is not None:
                session.connection.resume()

    def connect(self) -> Connection:
        return Connection(self)

    def opened(self, connection: Connection) -> SentinelSession | bytes:
        if self._clients.full:
            self._clients.rejected += 1
            return _MAX_CLIENTS
        session = SentinelSession(self._clients.next_id(), connection, self._front.clock.wall_ms())
        session.address = _address(connection.transport.get_extra_info("peername"))
        session.local_address = _address(connection.transport.get_extra_info("sockname"))
        session.call = self._make_call(session)
        self._clients.add(session)
        self._front.admit(session)
        return session

    def execute(self, session: Session, batch: Batch, start: int) -> int:
        assert isinstance(session, SentinelSession)
        if not self._begun:
            return start
        session.last_seen_ms = self._front.clock.wall_ms()
        for index in range(start, len(batch.commands)):
            if session.mask & CLOSING:
                return index
            reply = self._run(session, batch.commands[index])
            self.errors += isinstance(reply, Error)
            _answer(session, reply)
            if session.parked:
                return index + 1
        return len(batch.commands)

    def closed(self, session: Session) -> None:
        assert isinstance(session, SentinelSession)
        if session.connection is not None:
            self._gone_in += session.connection.bytes_in
            self._gone_out += session.connection.bytes_out
        self._front.broker.forget(session)
        self._clients.remove(session)

    def output_blocked(self, session: Session, pending: int) -> None:
        if pending > _UNSENT_MAX:
            session.drop()

    def _run(self, session: SentinelSession, argv: list[bytes]) -> Reply:
        call = session.call
        try:
            command = self._table.find(argv)
            command.check_arity(len(argv))
            self._refuse(session, command, argv)
            call.argv, call.command = argv, command
            self.processed += 1
            session.last_command = command.name
            return command.handler(call)
        except Error as error:
            return error

    def _refuse(self, session: Session, command: Command, argv: list[bytes]) -> None:
        """Raises what Redis refuses the command with in the session's state."""
        if session.mask & (NEEDS_AUTH | RESTRICTED) and not command.flags & NO_AUTH:
            if session.mask & NEEDS_AUTH:
                raise Error(NOAUTH)
            denial = self._accounts.forbid(session, command, argv)
            if denial is not None:
                raise denial
        if session.mask & SUBSCRIBED and not command.flags & IN_SUBSCRIPTION:
            raise Error(
                b"ERR Can't execute '%b': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in"
                b" this context" % command.name.encode()
            )


def _answer(session: Session, reply: Reply) -> None:
    if reply is NO_REPLY or reply is PARKED:
        return
    if session.mask & MUTED:
        if session.replies_off:
            return
        if session.skip_replies:
            session.skip_replies -= 1
            if not session.skip_replies:
                session.mask &= ~MUTED
            return
    encode_into(session.out, reply, session.proto)


def _address(name: object) -> str:
    if isinstance(name, tuple):
        host, port = str(name[0]), name[1]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"{name or ''}:0"
