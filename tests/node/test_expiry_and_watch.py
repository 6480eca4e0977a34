"""A watched key whose time comes breaks the transaction, though nobody has touched it; everything else about
watching and past times is among the edge cases. And many keys whose time comes at once."""

from __future__ import annotations

from collections.abc import Callable

from tests.node.conftest import Pair
from tests.node.own_server import OwnServer
from tests.node.raw_client import RawClient, as_integer
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


def test_swapdb_breaks_a_watch_when_what_can_be_seen_of_the_key_changes(pair: Pair) -> None:
    """None stands for a missing key, False for an expired one, True for one that lives."""
    states = {True: [("SET", "k", "v")], False: [("SET", "k", "v", "PX", "1")], None: [("DEL", "k")]}
    cases = [(before, after) for before in states for after in states]
    outcomes = []
    for client in pair.connect():
        replies = []
        for before, after in cases:
            client.ask_all([("SELECT", "1"), *states[after], ("SELECT", "0"), *states[before]])
            client.ask_all([("SET", "timer", "v", "PX", "2")])
            wait_for(lambda client=client: client.ask("EXISTS", "timer") == b":0\r\n", what="the timer's expiry")
            replies += client.ask_all([("WATCH", "k"), ("SWAPDB", "0", "1"), ("MULTI",), ("PING",), ("EXEC",)])[-1:]
            client.ask("FLUSHALL")
        outcomes.append(replies)
    broken = b"*-1\r\n"
    assert outcomes[0] == outcomes[1]
    assert [reply == broken for reply in outcomes[0]] == [True, True, True, True, False, False, True, False, False]


def _many_expire(client: RawClient, count: int) -> None:
    """Set so many keys that expire at once, and return when their time has passed."""
    at_ms = str(int(client.ask("TIME").split(b"\r\n")[2]) * 1000 + 1500)
    requests: list[tuple[str | bytes, ...]] = [("SET", f"key:{number}", "v", "PXAT", at_ms) for number in range(count)]
    client.ask_all(requests)
    client.ask("SET", "timer", "v", "PXAT", at_ms)
    wait_for(lambda: client.ask("EXISTS", "timer") == b":0\r\n", what="the timer's expiry")


def test_a_random_key_among_many_that_have_expired(pair: Pair) -> None:
    ours, _ = pair.connect()
    _many_expire(ours, 3000)
    # Redis deletes all that it meets; here a few go, and the rest is passed over.
    assert ours.ask("RANDOMKEY") == b"$-1\r\n"
    ours.ask("SET", "alive", "v")
    assert ours.ask("RANDOMKEY") == b"$5\r\nalive\r\n"
    assert 2900 < as_integer(ours.ask("DBSIZE")) < 3000


def test_many_that_expire_at_once_go_in_less_time_than_cycles_alone_would_take(
    start_server: Callable[..., OwnServer],
) -> None:
    # At one cycle a second these would take half a minute.
    client = start_server("--hz", "1", "--enable-debug-command", "yes").wait_ready().client()
    client.ask("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    _many_expire(client, 30_000)
    client.ask("DEBUG", "SET-ACTIVE-EXPIRE", "1")
    wait_for(lambda: client.ask("DBSIZE") == b":0\r\n", timeout=15, what="all that have expired to be gone")
