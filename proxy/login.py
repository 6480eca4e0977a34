"""AUTH, and HELLO with AUTH: whose password it is.

With a password of its own the proxy checks it itself, and its links carry the proxy's credentials. Without one,
credentials are passed on: a node is asked whether it takes them, and the client moves to links that carry them.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.local import Local
from proxy.routing import Route
from proxy.session import BLOCKED, ProxySession
from proxy.topology import Topology
from runtime import Tasks
from runtime.tls import Context
from wire.errors import SYNTAX, Error, wrong_arity
from wire.front import Credentials
from wire.outward import ConnectError, Greeting, Limits, connect
from wire.reply import OK

_LIMITS = Limits(connect_timeout_ms=1000)


class Login:
    """The two commands' handlers."""

    __slots__ = ("_credentials", "_local", "_tasks", "_tls", "_topology")

    def __init__(
        self, credentials: Credentials, local: Local, topology: Topology, tasks: Tasks, tls: Context | None
    ) -> None:
        self._credentials = credentials
        self._local = local
        self._topology = topology
        self._tasks = tasks
        # With what nodes are spoken to; None for plain connections.
        self._tls = tls

    def auth(self, session: ProxySession, argv: list[bytes], _route: Route) -> None:
        if self._credentials.needed:
            self._local.answer(session, argv)
        elif len(argv) < 2:
            session.answer(wrong_arity("auth"))
        elif len(argv) > 3:
            session.answer(Error(SYNTAX))
        else:
            user = argv[1] if len(argv) == 3 else b""
            self._pass_on(session, user, argv[-1], lambda: session.answer(OK))

    def hello(self, session: ProxySession, argv: list[bytes], _route: Route) -> None:
        words = [word.upper() for word in argv]
        at = words.index(b"AUTH", 2) if b"AUTH" in words[2:] else 0
        if not at or at + 2 >= len(argv) or self._credentials.needed:
            # What is under way must be answered in the old protocol.
            session.when_idle(lambda: self._local.answer(session, argv))
            return
        rest = argv[:at] + argv[at + 3 :]
        self._pass_on(session, argv[at + 1], argv[at + 2], lambda: self._local.answer(session, rest))

    def _pass_on(self, session: ProxySession, user: bytes, password: bytes, then: Callable[[], None]) -> None:
        def begin() -> None:
            session.pause(BLOCKED)
            self._tasks.start("log in", self._ask(session, user, password, then))

        session.when_idle(begin)

    async def _ask(self, session: ProxySession, user: bytes, password: bytes, then: Callable[[], None]) -> None:
        refusal = await self._refusal(Greeting(user=user, password=password, tls=self._tls))
        if not session.open:
            return
        if refusal:
            session.answer(Error(refusal))
        else:
            session.user = user.decode(errors="replace") or "default"
            self._local.change_lane(session, user, password)
            then()
        session.unpause(BLOCKED)

    async def _refusal(self, greeting: Greeting) -> bytes:
        """Why the cluster does not take these credentials; empty when it does."""
        for address in self._topology.slot_map.masters():
            try:
                (await connect(address.host, address.port, greeting, _LIMITS)).close()
            except ConnectError as error:
                if error.refusal:
                    return error.refusal
            else:
                return b""
        return b"CLUSTERDOWN no node could be asked"
