"""One connection that this process opens to a server speaking RESP: requests in order, replies in order.

Sentinel links, the smart client and the proxy's own questions go through here. Requests are pipelined: each is
written at once and its reply resolves a future; replies are read by `hiredis`. What the server says unasked (pub/sub
messages, pushes) goes to `on_push`. Reconnecting, choosing a server and trying again belong to the callers, for
whom every error says whether the operation definitely did not happen.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import hiredis

from runtime.dial import dial
from runtime.sockets import tune_stream
from runtime.tls import Context
from wire.encoder import encode_command
from wire.errors import Error

# Kinds of out-of-band arrays that RESP2, which has no push type, sends to a subscribed connection.
_PUSH_KINDS = frozenset(
    (
        *(b"message", b"pmessage", b"smessage"),
        *(b"subscribe", b"psubscribe", b"ssubscribe"),
        *(b"unsubscribe", b"punsubscribe", b"sunsubscribe"),
    )
)
_NOTHING = object()
# Between the end of a server's time and the last look for its answer.
_GRACE_S = 0.01

Command = Sequence[bytes]
OnPush = Callable[[list[Any]], None]

# Told of a reply at once, and not at the loop's next turn. That none will come is told by `on_lost` alone.
OnReply = Callable[[Any], object]


class OutwardError(Exception):
    """A request failed on its way. `happened` is False when it definitely was not executed, None when nobody knows."""

    happened: bool | None = None


class NotSentError(OutwardError):
    """The request never left: no connection, or too much waits on it already."""

    happened = False


class ConnectError(NotSentError):
    """The connection could not be opened, or the server turned it away while it was being set up: `refusal` then has
    the server's words."""

    def __init__(self, message: str, refusal: bytes = b"") -> None:
        super().__init__(message)
        self.refusal = refusal


class UnknownOutcomeError(OutwardError):
    """The connection broke, or stayed silent too long (then TimeoutError is its cause), after the request had been
    sent."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """How a new connection begins."""

    # 2 or 3; RESP2 needs no HELLO, which servers before Redis 6 do not know.
    proto: int = 2
    # An empty password sends no AUTH; an empty user means the password alone (`requirepass`).
    user: bytes = b""
    password: bytes = b""
    database: int = 0
    # Shown by the server's CLIENT LIST.
    name: bytes = b""
    # READONLY: a replica of a cluster then serves reads.
    readonly: bool = False
    # Wait for any answer to a PING: the kernel accepts connections for a process that is just dying or stopped, and
    # what is sent on one of those has an unknown outcome.
    ping: bool = False
    # Speak TLS; None: do not.
    tls: Context | None = None

    @property
    def credentials(self) -> list[bytes]:
        """The AUTH that goes with the password."""
        return [b"AUTH", *((self.user, self.password) if self.user else (self.password,))]

    def commands(self) -> list[list[bytes]]:
        """The commands to send, in order; every one must be answered without an error."""
        sent: list[list[bytes]] = []
        if self.proto == 3:
            credentials = [b"AUTH", self.user or b"default", self.password]
            sent.append([b"HELLO", b"3", *(credentials if self.password else [])])
        elif self.password:
            sent.append(self.credentials)
        if self.name:
            sent.append([b"CLIENT", b"SETNAME", self.name])
        if self.database:
            sent.append([b"SELECT", b"%d" % self.database])
        if self.readonly:
            sent.append([b"READONLY"])
        return sent


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one outgoing connection."""

    connect_timeout_ms: int = 2000
    # The connection is given up when requests wait and nothing at all has been heard for this long; 0: never.
    silence_timeout_ms: int = 5000
    # Requests without a reply, and bytes the kernel has not taken, before `NotSentError`.
    pending_max: int = 100_000
    unsent_bytes_max: int = 256 * 1024 * 1024
    keepalive_s: int = 60


_PLAIN = Greeting()
_USUAL = Limits()


async def connect(host: str, port: int, greeting: Greeting = _PLAIN, limits: Limits = _USUAL) -> Outward:
    """An open connection that has greeted the server; raises ConnectError."""
    where = f"{host}:{port}"
    outward = Outward(where, limits)
    try:
        async with asyncio.timeout(limits.connect_timeout_ms / 1000):
            await dial(lambda: outward, host, port, tls=greeting.tls)
            sign_of_life = [outward.request(b"PING")] if greeting.ping else []
            for reply in [outward.request(*command) for command in greeting.commands()]:
                answer = await reply
                if isinstance(answer, Error):
                    raise ConnectError(f"{where}: {answer.text.decode(errors='replace')}", answer.text)
            for reply in sign_of_life:
                await reply
    except (OSError, UnicodeError) as error:
        # TimeoutError is an OSError too, without words of its own; UnicodeError is said of an impossible host name.
        outward.close()
        reason = "timed out" if isinstance(error, TimeoutError) else getattr(error, "strerror", None) or str(error)
        raise ConnectError(f"{where}: {reason}") from error
    except OutwardError as error:
        outward.close()
        raise error if isinstance(error, ConnectError) else ConnectError(str(error)) from error
    except asyncio.CancelledError:
        outward.close()
        raise
    return outward


class Outward(asyncio.Protocol):
    """The connection. Made by `connect`."""

    __slots__ = (
        "_heard_at",
        "_limits",
        "_loop",
        "_overdue",
        "_pending",
        "_reader",
        "_subscribed",
        "_transport",
        "_watch",
        "closed",
        "on_lost",
        "on_push",
        "where",
    )

    def __init__(self, where: str, limits: Limits) -> None:
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(protocolError=hiredis.ProtocolError, replyError=_error, notEnoughData=_NOTHING)
        # Requests sent and not answered, oldest first.
        self._pending: deque[asyncio.Future[Any] | OnReply] = deque()
        # When bytes last came in, or, if later, when the oldest request was sent onto an idle connection.
        self._heard_at = 0.0
        # The silence has lasted too long already, and one last look is due.
        self._overdue = False
        # Runs while requests wait: the check for a silent server.
        self._watch: asyncio.TimerHandle | None = None
        # A RESP2 connection on which `post` was used: pub/sub arrays are not replies.
        self._subscribed = False
        # "host:port", for messages to people.
        self.where = where
        # No request can be sent any more.
        self.closed = False
        # Told of pushes, and once of the end (None: this side closed it).
        self.on_push: OnPush | None = None
        self.on_lost: Callable[[Exception | None], None] | None = None

    # What callers do.

    def request(self, *argv: bytes) -> asyncio.Future[Any]:
        """Send a command now. The future has the reply, an `Error` instance if the server refused, or raises
        UnknownOutcomeError; the call itself raises NotSentError."""
        return self.send(encode_command(argv), 1)[0]

    def requests(self, commands: Sequence[Command]) -> list[asyncio.Future[Any]]:
        """Send several commands in one write; a future for each, as `request` gives."""
        return self.send(b"".join([encode_command(argv) for argv in commands]), len(commands))

    def send(self, encoded: bytes, count: int) -> list[asyncio.Future[Any]]:
        """Send `count` encoded commands; a future for each."""
        futures: list[asyncio.Future[Any]] = [self._loop.create_future() for _ in range(count)]
        self.ask(encoded, futures)
        return futures

    def ask(self, encoded: bytes, askers: Sequence[asyncio.Future[Any] | OnReply]) -> None:
        """Send encoded commands; each has somebody who waits for its reply. Raises NotSentError."""
        transport = self._writable(len(askers))
        pending = self._pending
        if not pending and self._limits.silence_timeout_ms:
            self._heard_at = self._loop.time()
            self._overdue = False
            if self._watch is None:
                self._watch = self._loop.call_later(self._limits.silence_timeout_ms / 1000, self._check_silence)
        pending.extend(askers)
        transport.write(encoded)

    async def call(self, *argv: bytes, timeout_ms: int = 0) -> Any:
        """Send a command and return its reply; raises `Error` when the server refuses, OutwardError when the
        request fails on its way. After `timeout_ms` the outcome is unknown; a reply that still comes is dropped."""
        future = self.request(*argv)
        try:
            if timeout_ms:
                async with asyncio.timeout(timeout_ms / 1000):
                    reply = await future
            else:
                reply = await future
        except TimeoutError:
            name = argv[0].decode(errors="replace")
            raise UnknownOutcomeError(f"{self.where} did not answer {name} within {timeout_ms} ms") from None
        if isinstance(reply, Error):
            raise reply
        return reply

    def post(self, *argv: bytes) -> None:
        """Send a command whose confirmations come to `on_push`: SUBSCRIBE and its relatives. Raises NotSentError."""
        self._subscribed = True
        self._writable(0).write(encode_command(argv))

    @property
    def local_host(self) -> str:
        """Our own IP address on this connection; empty where there is none."""
        name = self._transport.get_extra_info("sockname") if self._transport is not None else None
        return str(name[0]) if isinstance(name, tuple) else ""

    def hand_over(self, protocol: asyncio.Protocol) -> None:
        """Give the open connection to `protocol`, which reads and writes raw bytes from now on (the proxy does).
        Raises NotSentError when it is closed already."""
        assert not self._pending, "replies are still to come"
        transport = self._writable(0)
        self._end(None, abort=False)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)

    @property
    def pending(self) -> int:
        """Requests that wait for their replies."""
        return len(self._pending)

    def close(self) -> None:
        """Close at once; whatever was not answered has an unknown outcome."""
        if not self.closed:
            self._end(None)

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        tune_stream(self._transport, self._limits.keepalive_s)
        if self.closed:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.closed:
            return
        if self._watch is not None:
            self._heard_at = self._loop.time()
            self._overdue = False
        reader, pending = self._reader, self._pending
        transport = self._transport
        try:
            reader.feed(data)
            # The transport is gone as soon as one of those told of a reply has closed the connection.
            while self._transport is transport and (reply := reader.gets()) is not _NOTHING:
                if type(reply) is hiredis.PushNotification or (self._subscribed and _is_push(reply)):
                    if self.on_push is not None:
                        self.on_push(list(reply))
                elif pending:
                    asker = pending.popleft()
                    if not isinstance(asker, asyncio.Future):
                        asker(reply)
                    # Cancelled: the caller gave up waiting, but the reply still had its place in the order.
                    elif not asker.done():
                        asker.set_result(reply)
                else:
                    raise hiredis.ProtocolError("a reply that nobody asked for")
        except hiredis.ProtocolError as error:
            self._end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed:
            self._end(exc or ConnectionResetError("Server closed the connection"))

    # How it works.

    def _writable(self, count: int) -> asyncio.Transport:
        transport = self._transport
        if self.closed or transport is None or transport.is_closing():
            raise NotSentError(f"{self.where}: the connection is closed")
        if len(self._pending) + count > self._limits.pending_max:
            raise NotSentError(f"{self.where}: {len(self._pending)} requests wait already")
        if transport.get_write_buffer_size() > self._limits.unsent_bytes_max:
            raise NotSentError(f"{self.where}: the server does not read what is sent to it")
        return transport

    def _check_silence(self) -> None:
        self._watch = None
        if self.closed or not self._pending:
            return
        patience_s = self._limits.silence_timeout_ms / 1000
        left_s = self._heard_at + patience_s - self._loop.time()
        if left_s <= 0 and not self._overdue:
            # One more turn of the loop: it may be this process that was stopped, with the answer in its socket.
            self._overdue = True
            self._watch = self._loop.call_later(_GRACE_S, self._check_silence)
        elif left_s <= 0:
            self._end(TimeoutError(f"no answer within {self._limits.silence_timeout_ms} ms"))
        else:
            self._watch = self._loop.call_later(left_s, self._check_silence)

    def _end(self, why: Exception | None, abort: bool = True) -> None:
        self.closed = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._transport is not None:
            if abort:
                self._transport.abort()
            self._transport = None
        pending, self._pending = self._pending, deque()
        for asker in pending:
            if isinstance(asker, asyncio.Future) and not asker.done():
                failure = UnknownOutcomeError(f"{self.where}: {why or 'connection closed'}")
                failure.__cause__ = why
                asker.set_exception(failure)
                # Whoever gave up waiting for it must not cause a warning about an exception never read.
                asker.exception()
        if self.on_lost is not None:
            self.on_lost(why)


def _error(text: str) -> Error:
    return Error(text.encode())


def _is_push(reply: object) -> bool:
    return type(reply) is list and bool(reply) and type(reply[0]) is bytes and reply[0] in _PUSH_KINDS
