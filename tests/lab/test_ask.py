from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import hiredis
import pytest

from lab.ask import NoAnswerError, ask, info_fields, pairs
from tests.real_redis import RealRedis


@asynccontextmanager
async def server(answer: bytes, *, close: bool = False) -> AsyncIterator[tuple[str, int]]:
    """Something that says `answer` to whatever comes, in single bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        for byte in answer:
            writer.write(bytes([byte]))
            await writer.drain()
        if not close:
            await reader.read()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield listener.sockets[0].getsockname()


async def test_replies_in_order(real_redis: RealRedis) -> None:
    replies = await ask(real_redis.address, "SET k v", "GET k", "GET none", "LPUSH k x", "LRANGE none 0 -1", timeout=5)
    assert replies[:3] == ["OK", "v", None]
    assert isinstance(replies[3], hiredis.ReplyError)
    assert str(replies[3]).startswith("WRONGTYPE")
    assert replies[4] == []


async def test_a_reply_in_pieces() -> None:
    async with server(b"*2\r\n$3\r\nabc\r\n:7\r\n") as address:
        assert await ask(address, "X") == [["abc", 7]]


@pytest.mark.parametrize("answer", [b"", b"+hal", b"*2\r\n+a\r\n"])
async def test_half_an_answer_is_none(answer: bytes) -> None:
    async with server(answer) as address:
        with pytest.raises(NoAnswerError, match="no answer in time"):
            await ask(address, "X", timeout=0.1)
    async with server(answer, close=True) as address:
        with pytest.raises(NoAnswerError, match=r"closed|reset"):
            await ask(address, "X", timeout=5)


async def test_nonsense_is_no_answer() -> None:
    async with server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        with pytest.raises(NoAnswerError, match="Protocol error"):
            await ask(address, "X", timeout=5)


async def test_nobody_listens(unused_tcp_port: int) -> None:
    with pytest.raises(NoAnswerError, match=r"[Cc]onnect"):
        await ask(("127.0.0.1", unused_tcp_port), "X")


def test_info_fields() -> None:
    text = "# Replication\r\nrole:master\r\nslave0:ip=::1,port=7003\r\n\r\n"
    assert info_fields(text) == {"role": "master", "slave0": "ip=::1,port=7003"}


def test_pairs() -> None:
    assert pairs(["name", "shard-0", "port", "7000"]) == {"name": "shard-0", "port": "7000"}
    with pytest.raises(ValueError, match="shorter"):
        pairs(["name"])


def test_the_fixture_gives_each_call_a_server_of_its_own(start_redis: Callable[..., RealRedis]) -> None:
    first, second = start_redis(), start_redis("--databases", "3")
    assert first.port != second.port
    assert second.ask("CONFIG GET databases") == [["databases", "3"]]
