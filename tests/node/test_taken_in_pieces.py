"""What a client sends without waiting for replies is taken in pieces, and the others are served in between."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from tests.node.conftest import Pair
from tests.node.own_server import OwnServer
from tests.node.raw_client import RawClient, Words, as_integer
from wire.encoder import encode_command

_COUNT = 60_000


def _send_and_read(client: RawClient, data: bytes, count: int) -> list[bytes]:
    """Send without a look at the replies, which somebody must read meanwhile."""
    sender = threading.Thread(target=client.send, args=(data,))
    sender.start()
    replies = [client.read_reply() for _ in range(count)]
    sender.join()
    return replies


def test_others_are_served_meanwhile(start_server: Callable[..., OwnServer]) -> None:
    server = start_server().wait_ready()
    eager, other = server.client(), server.client()
    replies: list[bytes] = []
    # Not all alike, which would be run in one go.
    data = b"".join(
        encode_command([b"INCR", b"n"] if number % 2 else [b"SETEX", b"key:%d" % number, b"100", b"value"])
        for number in range(2 * _COUNT)
    )
    reader = threading.Thread(target=lambda: replies.extend(_send_and_read(eager, data, 2 * _COUNT)))
    other.ask("SET", "n", "0")
    reader.start()
    seen = {0}
    while max(seen) < _COUNT:
        seen.add(as_integer(other.ask("INCRBY", "n", "0")))
    reader.join()
    assert len(seen) > 10
    assert replies[1::2] == [b":%d\r\n" % number for number in range(1, _COUNT + 1)]


def test_pieces_are_put_together(pair: Pair) -> None:
    chance = random.Random(11)
    requests: list[Words] = []
    for number in range(6000):
        size = chance.choice((0, 5, 50, 700)) if number % 500 else chance.choice((65_000, 65_536, 200_000, 900_000))
        requests.append(("SET", f"key:{number % 50}", chance.randbytes(size)))
        requests.append(("GET", f"key:{chance.randrange(50)}"))
        requests.append(("LPUSH", "list", str(number)) if number % 3 else ("RPOPLPUSH", "list", "other"))
    requests += [("BLPOP", "list", "0.01"), ("BLPOP", "nothing", "0.01"), *[("INCR", "n")] * 9000]
    data = b"".join(encode_command([_as_bytes(word) for word in words]) for words in requests)
    ours, real = (_send_and_read(client, data, len(requests)) for client in pair.connect())
    assert ours == real


def test_what_comes_behind_quit_is_not_run(pair: Pair) -> None:
    for client in pair.connect():
        client.send(encode_command([b"INCR", b"n"]) * 2000 + b"QUIT\r\n" + encode_command([b"INCR", b"n"]) * 9000)
        assert [client.read_reply() for _ in range(2001)][-2:] == [b":2000\r\n", b"+OK\r\n"]
    assert [client.ask("GET", "n") for client in pair.connect()] == [b"$4\r\n2000\r\n"] * 2


def _as_bytes(word: str | bytes) -> bytes:
    return word.encode() if isinstance(word, str) else word
