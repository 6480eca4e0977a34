"""The sockets of a sentinel's links: performs `Open`, `Close` and `Send`, reports what comes back.

Decides nothing. When to connect, what to ask and what a silence means is the machine's; a link here is one or two
`wire.outward` connections and the number by which the machine knows it. What is said first on a new connection (AUTH,
our name, SUBSCRIBE) is sent without waiting: an instance that refuses it or is too busy to answer is judged by its
replies to PING like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from runtime import Tasks
from runtime.tls import Context
from sentinel.events import Answered, Connected, Disconnected, Event, Half, Heard, Open
from sentinel.requests import HELLO_CHANNEL, Ping, Request, spell
from wire.encoder import encode_command
from wire.outward import ConnectError, Greeting, Limits, NotSentError, Outward, connect

_Key = tuple[int, Half]


class Links:
    """All connections a sentinel has opened."""

    __slots__ = ("_attempts", "_deliver", "_my_id", "_open", "_pings", "_renamed", "_tasks", "_tls")

    def __init__(
        self, my_id: str, tasks: Tasks, deliver: Callable[[Event], None], tls: Callable[[], Context | None]
    ) -> None:
        self._my_id = my_id
        self._tasks = tasks
        # Where events go.
        self._deliver = deliver
        # With what instances are spoken to; None for plain connections.
        self._tls = tls
        # Attempts to connect that are under way, and connections that are up.
        self._attempts: dict[_Key, asyncio.Task[None]] = {}
        self._open: dict[_Key, Outward] = {}
        # What commands are called on the instance at the other end.
        self._renamed: dict[int, dict[str, str]] = {}
        # What is sent most, by far, ready to be sent.
        self._pings: dict[int, bytes] = {}

    def open(self, order: Open) -> None:
        """Begin to connect; the outcome is delivered as an event."""
        key = (order.link, order.half)
        self._renamed[order.link] = dict(order.renamed_commands)
        self._pings[order.link] = b"".join(map(encode_command, spell(Ping(), self._renamed[order.link])))
        self._attempts[key] = self._tasks.start(f"link-{order.link}-{order.half.value}", self._connect(key, order))

    def close(self, link: int, half: Half) -> None:
        """End a connection or an attempt; nothing more is delivered of it."""
        attempt = self._attempts.pop((link, half), None)
        if attempt is not None:
            attempt.cancel()
        outward = self._open.pop((link, half), None)
        if outward is not None:
            outward.on_lost = None
            outward.on_push = None
            outward.close()

    def send(self, link: int, request: Request) -> None:
        """Send a request; its reply is delivered, or else the loss of the connection."""
        outward = self._open.get((link, Half.COMMAND))
        if outward is None:
            return
        encoded, count = self._pings[link], 1
        if not isinstance(request, Ping):
            commands = spell(request, self._renamed[link])
            encoded, count = b"".join(map(encode_command, commands)), len(commands)

        def answered(reply: object) -> None:
            if self._open.get((link, Half.COMMAND)) is outward:
                self._deliver(Answered(link, request, reply))

        try:
            # Of a transaction only the last reply says anything.
            outward.ask(encoded, [*[_pass_over] * (count - 1), answered])
        except NotSentError as error:
            self._lost((link, Half.COMMAND), error)

    def close_all(self) -> None:
        for link, half in list(self._open):
            self.close(link, half)

    async def _connect(self, key: _Key, order: Open) -> None:
        limits = Limits(connect_timeout_ms=order.timeout_ms, silence_timeout_ms=0)
        try:
            outward = await connect(order.ip, order.port, Greeting(tls=self._tls()), limits)
        except ConnectError as error:
            del self._attempts[key]
            self._deliver(Disconnected(*key, str(error)))
            return
        del self._attempts[key]
        self._open[key] = outward
        outward.on_lost = lambda reason: self._lost(key, reason)
        try:
            self._greet(key, order, outward)
        except NotSentError as error:
            self._lost(key, error)
            return
        self._deliver(Connected(*key, outward.local_host))

    def _greet(self, key: _Key, order: Open, outward: Outward) -> None:
        link, half = key
        renamed = self._renamed[link]
        if order.password:
            credentials = [order.user, order.password] if order.user else [order.password]
            _ignore(outward, renamed, "AUTH", *credentials)
        _ignore(outward, renamed, "CLIENT", "SETNAME", f"sentinel-{self._my_id[:8]}-{half.value}")
        if half is Half.PUBSUB:
            outward.on_push = lambda push: self._heard(link, push)
            outward.post(*_words(renamed, "SUBSCRIBE", HELLO_CHANNEL))

    def _heard(self, link: int, push: list[object]) -> None:
        if len(push) == 3 and push[0] == b"message" and isinstance(push[2], bytes):
            self._deliver(Heard(link, push[2].decode("utf-8", "surrogateescape")))

    def _lost(self, key: _Key, reason: Exception | None) -> None:
        if self._open.pop(key, None) is not None:
            self._deliver(Disconnected(*key, str(reason or "closed")))


def _words(renamed: dict[str, str], name: str, *arguments: str) -> list[bytes]:
    return [word.encode("utf-8", "surrogateescape") for word in (renamed.get(name.lower(), name), *arguments)]


def _ignore(outward: Outward, renamed: dict[str, str], name: str, *arguments: str) -> None:
    """Send something whose outcome shows in what follows."""
    outward.request(*_words(renamed, name, *arguments))


def _pass_over(_reply: object) -> None:
    """Takes a reply that says nothing."""
