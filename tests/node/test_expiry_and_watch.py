"""A watched key whose time comes breaks the transaction, though nobody has touched it; everything else about
watching and past times is among the edge cases."""

from __future__ import annotations

from tests.node.conftest import Pair
from tests.node.raw_client import RawClient
from tests.waiting import wait_for


def _expire_after(client: RawClient, name: str) -> None:
    """Set `name` to expire soon, watch it, and return when its time has passed, without touching it."""
    client.ask("SET", name, "v", "PX", "20")
    client.ask("WATCH", name)
    # Set later to the same time to live: once this one is gone, the other one's time has passed, too.
    client.ask("SET", "timer", "v", "PX", "20")
    wait_for(lambda: client.ask("EXISTS", "timer") == b":0\r\n", what="the timer's expiry")


def test_a_watched_key_that_expires_breaks_the_transaction(pair: Pair) -> None:
    for client in pair.connect():
        _expire_after(client, "k")
        assert client.ask_all([("MULTI",), ("SET", "other", "1"), ("EXEC",)])[-1] == b"*-1\r\n"
        assert client.ask("EXISTS", "other") == b":0\r\n"


def test_unwatched_it_does_not(pair: Pair) -> None:
    for client in pair.connect():
        _expire_after(client, "k")
        client.ask("UNWATCH")
        assert client.ask_all([("MULTI",), ("EXISTS", "k"), ("EXEC",)])[-1] == b"*1\r\n:0\r\n"


def test_a_transaction_has_one_time(pair: Pair) -> None:
    """What lives when EXEC begins lives until its end, however long that takes."""
    for client in pair.connect():
        queued = [("MULTI",), ("SET", "k", "v", "PX", "30"), ("DEBUG", "SLEEP", "0.05"), ("GET", "k"), ("EXEC",)]
        assert client.ask_all(queued)[-1] == b"*3\r\n+OK\r\n+OK\r\n$1\r\nv\r\n"
        assert client.ask("GET", "k") == b"$-1\r\n"
