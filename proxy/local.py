"""Answers that need no node: the commands of the connection and the proxy's own."""

from __future__ import annotations

from proxy.lanes import Lanes
from proxy.routing import Route
from proxy.session import ProxySession
from wire.errors import Error
from wire.reply import NO_REPLY
from wire.table import CommandTable


class Local:
    """Runs the proxy's own commands."""

    __slots__ = ("_lanes", "_table")

    def __init__(self, table: CommandTable, lanes: Lanes) -> None:
        self._table = table
        self._lanes = lanes

    def knows(self, name: str) -> bool:
        """Whether the command (or container) `name` is answered here."""
        return name in self._table.all

    def answer(self, session: ProxySession, argv: list[bytes], _route: Route | None = None) -> None:
        """Run it, and put the reply in its place."""
        call = session.call
        try:
            command = self._table.find(argv)
            command.check_arity(len(argv))
            call.argv = argv
            call.command = command
            reply = command.handler(call)
        except Error as error:
            reply = error.with_traceback(None)
        if session.proto != session.lane.greeting.proto:
            greeting = session.lane.greeting
            self.change_lane(session, greeting.user, greeting.password)
        if reply is not NO_REPLY:
            session.answer(reply)

    def change_lane(self, session: ProxySession, user: bytes, password: bytes) -> None:
        """The client's commands travel on other links from now on: it speaks another protocol, or is somebody else."""
        old, session.lane = session.lane, self._lanes.enter(session.proto, user, password)
        self._lanes.leave(old)
        if session.watching is not None:
            # Its replies would come in the old protocol. EXEC will find that the keys cannot be vouched for.
            session.watching.close()
