"""`maxmemory-clients`: whatever a client holds counts, and the largest ones go as soon as it is too much."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.node.conftest import Pair
from tests.node.raw_client import RawClient, Words
from tests.waiting import wait_for
from wire.encoder import encode_command

_LIMIT = 1_000_000


@pytest.fixture
def limited(pair: Pair) -> Iterator[Pair]:
    """Both servers with a limit, and without the clockwork, which would find out by and by."""
    for client in pair.connect():
        client.ask("CONFIG", "SET", "maxmemory-clients", str(_LIMIT))
        client.ask("DEBUG", "PAUSE-CRON", "1")
    yield pair
    for client in pair.connect():
        client.ask("DEBUG", "PAUSE-CRON", "0")
        client.ask("CONFIG", "SET", "maxmemory-clients", "0")


def _is_there(observer: RawClient, name: str) -> bool:
    return b" name=%b " % name.encode() in observer.ask("CLIENT", "LIST")


def _ask_all(client: RawClient, pipelines: list[list[Words]]) -> None:
    for pipeline in pipelines:
        client.ask_all(pipeline)


@pytest.mark.parametrize(
    "pipelines",
    [
        [[("MULTI",)], *[[("SET", "k", "v" * (_LIMIT // 4))]] * 6],
        [[("WATCH", *map(str, range(first, first + 1000)))] for first in range(0, 40_000, 1000)],
        [[("SUBSCRIBE", str(number)) for number in range(first, first + 1000)] for first in range(0, 40_000, 1000)],
    ],
    ids=["transaction", "watched keys", "channels"],
)
def test_what_commands_leave_behind(limited: Pair, pipelines: list[list[Words]]) -> None:
    for client, observer in zip(limited.connect(), limited.connect(), strict=True):
        client.ask("CLIENT", "SETNAME", "fat")
        client.ask_all(pipelines[0])
        with pytest.raises((AssertionError, ConnectionError)):
            _ask_all(client, pipelines[1:])
        assert not _is_there(observer, "fat")


def _prefixes(first: int) -> list[str]:
    return [word for number in range(first, first + 500) for word in ("PREFIX", f"{number:04}")]


def test_prefixes_that_a_client_wants_to_hear_of(limited: Pair) -> None:
    for client, observer in zip(limited.connect(), limited.connect(), strict=True):
        observer.ask("CONFIG", "SET", "maxmemory-clients", str(_LIMIT // 5))
        client.ask("CLIENT", "SETNAME", "fat")
        steps = [[("CLIENT", "TRACKING", "ON", "BCAST", *_prefixes(first))] for first in range(0, 8000, 500)]
        with pytest.raises((AssertionError, ConnectionError)):
            _ask_all(client, steps)
        assert not _is_there(observer, "fat")


def test_a_value_counts_in_full_when_its_length_is_known(limited: Pair) -> None:
    for client, observer in zip(limited.connect(), limited.connect(), strict=True):
        client.ask("CLIENT", "SETNAME", "fat")
        whole = encode_command([b"SET", b"k", b"v" * (_LIMIT // 2)])
        client.send(whole[:100_000])
        assert _is_there(observer, "fat")
        client.send(whole[100_000:])
        assert client.read_reply() == b"+OK\r\n"
        client.send(encode_command([b"SET", b"k", b"v" * _LIMIT])[:100_000])
        assert not _is_there(observer, "fat")


def test_a_new_limit_holds_at_once(limited: Pair) -> None:
    for observer, *clients in zip(limited.connect(), *(limited.connect() for _ in range(4)), strict=True):
        observer.ask("CONFIG", "SET", "maxmemory-clients", "0")
        observer.ask("CLIENT", "NO-EVICT", "on")
        for number, client in enumerate(clients):
            client.ask("CLIENT", "SETNAME", f"fat{number}")
            client.send(encode_command([b"SET", b"k", b"v" * (number + 1) * 100_000])[:-10])
            wait_for(lambda o=observer, n=number: _holds(o, f"fat{n}") > (n + 1) * 100_000, what="what it sent")
        # Room for the two small ones.
        observer.ask("CONFIG", "SET", "maxmemory-clients", "600000")
        assert [_is_there(observer, f"fat{number}") for number in range(4)] == [True, True, False, False]
        observer.ask("CLIENT", "NO-EVICT", "off")


def _holds(observer: RawClient, name: str) -> int:
    line = next(line for line in observer.ask("CLIENT", "LIST").splitlines() if b" name=%b " % name.encode() in line)
    return int(line.partition(b" tot-mem=")[2].split()[0])


def test_who_asked_for_it_stays(limited: Pair) -> None:
    for client, observer in zip(limited.connect(), limited.connect(), strict=True):
        client.ask("CLIENT", "SETNAME", "fat")
        client.ask("CLIENT", "NO-EVICT", "on")
        # As long as it is there, everybody else goes.
        observer.ask("CLIENT", "NO-EVICT", "on")
        client.send(encode_command([b"SET", b"k", b"v" * _LIMIT])[:100_000])
        assert _is_there(observer, "fat")
        client.close()
        wait_for(lambda observer=observer: not _is_there(observer, "fat"), what="the end of the client")


def test_messages_that_are_not_read(limited: Pair) -> None:
    for client, redirected, observer in zip(limited.connect(), limited.connect(), limited.connect(), strict=True):
        redirected.ask("CLIENT", "SETNAME", "fat")
        number = redirected.ask("CLIENT", "ID")[1:-2]
        redirected.ask("SUBSCRIBE", "__redis__:invalidate")
        client.ask("CLIENT", "TRACKING", "on", "REDIRECT", number, "BCAST")
        script = client.ask("SCRIPT", "LOAD", "redis.call('INCR', '%s')" % ("k" * 300_000)).split(b"\r\n")[1]
        for _ in range(60):
            if not _is_there(observer, "fat"):
                break
            # It goes at the end of the turn in which it was told too much, not when it is looked at next.
            assert _holds(observer, "fat") < _LIMIT
            client.ask("EVALSHA", script, "0")
        assert not _is_there(observer, "fat")


def test_a_list_of_clients_costs_its_reader_nothing(pair: Pair) -> None:
    """So that a limit made up of what the list says holds for those in it."""
    names = [f"fat{number}" for number in range(10)]
    for observer, *clients in zip(pair.connect(), *(pair.connect() for _ in names), strict=True):
        observer.ask("CLIENT", "NO-EVICT", "on")
        observer.ask("DEBUG", "REPLYBUFFER", "RESIZING", "0")
        for client, name in zip(clients, names, strict=True):
            client.ask("CLIENT", "SETNAME", name)
            client.send(b"*2\r\n$1000000\r\n" + b"v" * 1_000_000)
            wait_for(lambda o=observer, n=name: _holds(o, n) >= 1_000_000, what="what it sent")
        half = max(_holds(observer, name) for name in names) * len(names) // 2
        lines = observer.ask("CLIENT", "LIST").split(b" tot-mem=")[1:]
        others = sum(int(line.split()[0]) for line in lines if int(line.split()[0]) < 1_000_000)
        observer.ask("CONFIG", "SET", "maxmemory-clients", str(half + others))
        for _ in range(3):
            assert sum(_is_there(observer, name) for name in names) == len(names) // 2
        observer.ask("CONFIG", "SET", "maxmemory-clients", "0")
        observer.ask("DEBUG", "REPLYBUFFER", "RESIZING", "1")


def test_what_was_sent_before_is_in_the_list(pair: Pair) -> None:
    """On whatever connection the kernel names first; one time in a hundred a real server has not read it yet."""
    (client, _), (observer, _) = pair.connect(), pair.connect()
    client.ask("CLIENT", "SETNAME", "fat")
    for _ in range(20):
        assert _holds(observer, "fat") < 100_000
    client.send(b"*1\r\n$200000\r\n" + b"v" * 100_000)
    assert _holds(observer, "fat") >= 200_000


def test_who_reads_the_list_is_in_it_as_it_reads(pair: Pair) -> None:
    """With the list's request in its buffer."""
    for client in pair.connect():
        client.ask("CLIENT", "SETNAME", "reader")
        line = next(line for line in client.ask("CLIENT", "LIST").splitlines() if b" name=reader " in line)
        assert b" multi=-1 qbuf=26 " in line
        assert b" argv-mem=10 " in line
