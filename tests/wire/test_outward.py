"""Outgoing connections: against a real redis-server, and against peers that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.real_redis import RealRedis
from tests.waiting import wait_until
from wire.errors import Error
from wire.outward import ConnectError, Greeting, Limits, NotSentError, Outward, UnknownOutcomeError, connect

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def peer(behaviour: Peer) -> AsyncIterator[int]:
    """A server that does what `behaviour` says; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behaviour(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def lost(connection: Outward) -> Exception | None:
    """Wait for the end of the connection, and return why."""
    future: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    connection.on_lost = future.set_result
    return await future


@pytest.mark.parametrize("proto", [2, 3])
async def test_replies_come_in_the_order_of_requests(real_redis: RealRedis, proto: int) -> None:
    connection = await connect(*real_redis.address, Greeting(proto=proto, name=b"me", database=3))
    futures = connection.requests([[b"SET", b"k%d" % i, b"%d" % i] for i in range(100)])
    futures += [connection.request(b"GET", b"k%d" % i) for i in range(100)]
    futures += connection.requests([[b"LPUSH", b"k1", b"x"], [b"GET", b"none"]])
    replies = [await future for future in futures]
    assert replies[100:200] == [b"%d" % i for i in range(100)]
    assert isinstance(replies[200], Error)
    assert replies[200].text.startswith(b"WRONGTYPE")
    assert replies[201] is None
    assert connection.pending == 0
    assert b"name=me" in await connection.call(b"CLIENT", b"LIST")
    assert b"db=3" in await connection.call(b"CLIENT", b"LIST")
    with pytest.raises(Error, match="unknown command"):
        await connection.call(b"NOSUCH")
    connection.close()
    with pytest.raises(NotSentError) as error:
        connection.request(b"PING")
    assert error.value.happened is False


@pytest.mark.parametrize("proto", [2, 3])
async def test_greeting_with_a_password(start_redis: Callable[..., RealRedis], proto: int) -> None:
    server = await asyncio.to_thread(start_redis)
    connection = await connect(*server.address)
    await connection.call(b"ACL", b"SETUSER", b"ada", b"on", b">lovelace", b"~*", b"+@all")
    await connection.call(b"CONFIG", b"SET", b"requirepass", b"secret")
    connection.close()
    good = (Greeting(proto, password=b"secret"), Greeting(proto, user=b"ada", password=b"lovelace"))
    for greeting in good:
        connection = await connect(*server.address, greeting)
        assert await connection.call(b"PING") in (b"PONG", "PONG")
        connection.close()
    with pytest.raises(ConnectError) as error:
        await connect(*server.address, Greeting(proto, password=b"wrong"))
    assert error.value.refusal.startswith(b"WRONGPASS")
    assert error.value.happened is False


@pytest.mark.parametrize("proto", [2, 3])
async def test_pushes_go_their_own_way(real_redis: RealRedis, proto: int) -> None:
    connection = await connect(*real_redis.address, Greeting(proto=proto))
    other = await connect(*real_redis.address)
    pushes: list[list[Any]] = []
    connection.on_push = pushes.append
    connection.post(b"SUBSCRIBE", b"a", b"b")
    connection.post(b"PSUBSCRIBE", b"*")

    async def some(count: int) -> bool:
        return len(pushes) >= count

    await wait_until(lambda: some(3), what="confirmations")
    assert await other.call(b"PUBLISH", b"a", b"hello") == 2
    # A question and its answer in between.
    assert await connection.call(b"PING") in (b"PONG", "PONG", [b"pong", b""])
    await wait_until(lambda: some(5), what="messages")
    assert pushes[:3] == [[b"subscribe", b"a", 1], [b"subscribe", b"b", 2], [b"psubscribe", b"*", 3]]
    assert pushes[3:] == [[b"message", b"a", b"hello"], [b"pmessage", b"*", b"a", b"hello"]]
    connection.close()
    other.close()


async def test_nobody_listens() -> None:
    with pytest.raises(ConnectError, match=r"127\.0\.0\.1:1: ") as error:
        await connect("127.0.0.1", 1)
    assert error.value.happened is False


async def test_connecting_has_a_limit() -> None:
    async with peer(silent) as port:
        with pytest.raises(ConnectError, match="timed out"):
            await connect("127.0.0.1", port, Greeting(proto=3), Limits(connect_timeout_ms=50))


async def test_accepted_by_the_kernel_is_not_enough() -> None:
    """A stopped process' connections are accepted for it; nothing should be sent there that cannot be taken back."""
    async with peer(silent) as port:
        with pytest.raises(ConnectError, match="timed out") as error:
            await connect("127.0.0.1", port, Greeting(ping=True), Limits(connect_timeout_ms=50))
        assert error.value.happened is False


async def test_connection_that_breaks_leaves_unknown_outcomes(real_redis: RealRedis) -> None:
    connection = await connect(*real_redis.address)
    answered = connection.request(b"PING")
    await answered
    under_way = connection.requests([[b"INCR", b"a"], [b"INCR", b"a"]])
    ended = asyncio.ensure_future(lost(connection))
    await asyncio.sleep(0)
    real_redis.kill()
    assert await ended is not None
    for future in under_way:
        if future.exception() is not None:
            assert isinstance(future.exception(), UnknownOutcomeError)
    with pytest.raises(NotSentError):
        await connection.call(b"PING")


async def test_silence_ends_a_connection_that_owes_replies() -> None:
    async with peer(silent) as port:
        connection = await connect("127.0.0.1", port, limits=Limits(silence_timeout_ms=50))
        with pytest.raises(UnknownOutcomeError, match="no answer within 50 ms") as error:
            await connection.call(b"INCR", b"a")
        assert error.value.happened is None
        assert connection.closed


async def test_caller_may_give_up_without_losing_the_order(real_redis: RealRedis) -> None:
    connection = await connect(*real_redis.address)
    with pytest.raises(UnknownOutcomeError, match="did not answer BLPOP within 50 ms"):
        await connection.call(b"BLPOP", b"none", b"0.2", timeout_ms=50)
    assert await connection.call(b"ECHO", b"next") == b"next"
    connection.close()


async def test_too_much_under_way_is_refused() -> None:
    async with peer(silent) as port:
        limits = Limits(pending_max=10, unsent_bytes_max=1_000_000, silence_timeout_ms=0)
        connection = await connect("127.0.0.1", port, limits=limits)
        futures = connection.requests([[b"PING"]] * 10)
        with pytest.raises(NotSentError, match="10 requests wait already"):
            connection.request(b"PING")
        connection.close()
        assert all(isinstance(future.exception(), UnknownOutcomeError) for future in futures)


@pytest.mark.parametrize("nonsense", [b"hello\r\n", b"$abc\r\n", b"+OK\r\n+and more\r\n"])
async def test_peer_that_speaks_nonsense(nonsense: bytes) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(nonsense)
        await reader.read()

    async with peer(babble) as port:
        connection = await connect("127.0.0.1", port)
        future = connection.request(b"PING")
        assert await lost(connection) is not None
        assert future.exception() is None or isinstance(future.exception(), UnknownOutcomeError)


async def test_closing_while_told_of_a_push(real_redis: RealRedis) -> None:
    connection = await connect(*real_redis.address)
    connection.on_push = lambda _: connection.close()
    ended = asyncio.ensure_future(lost(connection))
    await asyncio.sleep(0)
    connection.post(b"SUBSCRIBE", b"a", b"b")
    assert await ended is None
    assert connection.closed


async def test_handing_the_connection_over(real_redis: RealRedis) -> None:
    received = bytearray()

    class Raw(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport
            transport.write(b"PING\r\n")

        def data_received(self, data: bytes) -> None:
            received.extend(data)

    connection = await connect(*real_redis.address, Greeting(proto=3))
    raw = Raw()
    connection.hand_over(raw)

    async def answered() -> bool:
        return bytes(received) == b"+PONG\r\n"

    await wait_until(answered, what="the reply at the new owner")
    with pytest.raises(NotSentError):
        connection.request(b"PING")
    raw.transport.abort()
