"""Client-side caching: options, and what clients are told of changes, are a real server's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.node.conftest import Pair
from tests.node.raw_client import RawClient, parse_reply
from tests.waiting import wait_for
from wire.encoder import encode_command

_OPTIONS = """
TRACKING on REDIRECT 99999999
TRACKING on REDIRECT x
TRACKING foo
TRACKING on PREFIX a
TRACKING on BCAST PREFIX a PREFIX a
TRACKING on BCAST PREFIX a PREFIX ab
TRACKING on BCAST OPTIN
TRACKING on BCAST OPTOUT
TRACKING on OPTIN OPTOUT
TRACKING on FOO
CACHING yes
CACHING foo
TRACKING on
TRACKINGINFO
GETREDIR
CACHING yes
TRACKING on BCAST
TRACKING on OPTIN
TRACKING off
TRACKING on OPTIN
CACHING no
CACHING foo
CACHING yes
TRACKINGINFO
TRACKING on OPTOUT
TRACKING off
TRACKING on OPTOUT NOLOOP
CACHING yes
CACHING no
TRACKINGINFO
TRACKING off
TRACKING on BCAST PREFIX foo PREFIX bar NOLOOP
TRACKING on BCAST PREFIX baz
TRACKING on BCAST PREFIX fo
TRACKING on BCAST PREFIX food
TRACKING on BCAST PREFIX b
TRACKING on BCAST PREFIX foo PREFIX a PREFIX ab
TRACKING on BCAST PREFIX foo
TRACKINGINFO
TRACKING on BCAST
TRACKINGINFO
TRACKING on BCAST
TRACKING on BCAST PREFIX foo
TRACKING off
TRACKING on BCAST
TRACKINGINFO
TRACKING off
TRACKINGINFO
TRACKING off foo
TRACKING on REDIRECT
GETREDIR
"""


@pytest.fixture(params=[0, 1], ids=["ours", "theirs"])
def port(request: pytest.FixtureRequest, pair: Pair) -> int:
    """Each server in turn: what a test demands of ours, the real one does too."""
    return (pair.ours, pair.theirs)[request.param]


@pytest.fixture
def clients(port: int) -> Iterator[tuple[RawClient, RawClient]]:
    """One in RESP3 that tracks, and one that changes things."""
    both = RawClient(port), RawClient(port)
    both[0].ask("HELLO", "3")
    yield both
    for client in both:
        client.ask("RESET")
        client.close()


@pytest.mark.parametrize("proto", ["2", "3"])
def test_options(pair: Pair, proto: str) -> None:
    ours, theirs = pair.connect()
    for client in (ours, theirs):
        client.ask("HELLO", proto)
    different = []
    for line in _OPTIONS.strip().splitlines():
        replies = [client.ask("CLIENT", *line.split()) for client in (ours, theirs)]
        if line == "TRACKINGINFO":
            # Prefixes have no order.
            replies = [b"".join(sorted(reply.splitlines())) for reply in replies]
        if replies[0] != replies[1]:
            different.append((line, *replies))
    assert not different


def _told(client: RawClient) -> object:
    kind, what = parse_reply(client.read_reply())
    assert kind == b"invalidate"
    return what


def test_a_reader_is_told_once(clients: tuple[RawClient, RawClient]) -> None:
    reader, writer = clients
    reader.ask("CLIENT", "TRACKING", "on")
    reader.ask("MGET", "a", "b")
    writer.ask_all([("SET", "a", "1"), ("SET", "a", "2"), ("SET", "c", "1"), ("INCR", "b")])
    assert [_told(reader), _told(reader)] == [[b"a"], [b"b"]]
    reader.ask("GET", "a")
    writer.ask("EXPIRE", "a", "100")
    assert _told(reader) == [b"a"]
    assert reader.ask("PING") == b"+PONG\r\n"


def test_what_is_read_in_transactions(clients: tuple[RawClient, RawClient]) -> None:
    reader, writer = clients
    reader.ask("CLIENT", "TRACKING", "on")
    reader.ask_all([("MULTI",), ("GET", "a"), ("SET", "x", "1"), ("EXEC",)])
    writer.ask("SET", "a", "1")
    assert _told(reader) == [b"a"]


def test_what_is_read_in_scripts(pair: Pair) -> None:
    """Redis 7.0 remembers only the keys that are named for the script, 7.2 only those that it reads."""
    reader, writer = RawClient(pair.ours), RawClient(pair.ours)
    reader.ask("HELLO", "3")
    reader.ask("CLIENT", "TRACKING", "on")
    reader.ask("EVAL", "return redis.call('GET', 'b')", "0")
    writer.ask("SET", "b", "1")
    assert _told(reader) == [b"b"]
    reader.close()
    writer.close()


@pytest.mark.parametrize("command", ["EVAL", "EVAL_RO"])
def test_keys_that_are_named_for_a_script(clients: tuple[RawClient, RawClient], command: str) -> None:
    reader, writer = clients
    reader.ask("CLIENT", "TRACKING", "on")
    reader.ask("SET", "b", "1")
    reader.ask(command, "return redis.call('PING')", "2", "a", "b")
    writer.ask("MSET", "a", "1", "b", "1")
    assert reader.ask("PING") == b"+PONG\r\n"
    reader.ask(command, "return redis.call('GET', KEYS[1])", "2", "a", "b")
    writer.ask("MSET", "a", "1", "b", "1")
    assert [_told(reader), _told(reader)] == [[b"a"], [b"b"]]


_WAIT = """
local function now() local time = redis.call('TIME') return time[1] * 1000000 + time[2] end
local began = now()
while now() < began + 100000 do for i = 1, 1000 do end end
"""
_LONG_SCRIPT = f"""
redis.call('GET', KEYS[1])
{_WAIT}
redis.call('INCR', KEYS[1])
redis.call('GET', KEYS[2])
"""


def test_a_script_that_takes_long(clients: tuple[RawClient, RawClient]) -> None:
    """What the client has chosen holds to its end, though others were told BUSY meanwhile."""
    client, other = clients
    other.ask("CONFIG", "SET", "busy-reply-threshold", "5")
    client.send(encode_command([b"EVAL", b"while true do end", b"0"]))
    wait_for(lambda: other.ask("GET", "a").startswith(b"-BUSY"), what="a script that takes long")
    other.ask("SCRIPT", "KILL")
    client.read_reply()
    for options in ([], ["OPTIN"]):
        client.ask("CLIENT", "TRACKING", "on", "NOLOOP", *options)
        if options:
            client.ask("CLIENT", "CACHING", "yes")
        assert client.ask("EVAL", _LONG_SCRIPT, "2", "a", "b") == b"_\r\n"
        # Not of its own change.
        assert client.ask("PING") == b"+PONG\r\n"
        other.ask("SET", "b", "1")
        assert _told(client) == [b"b"]
        client.ask("CLIENT", "TRACKING", "off")
    client.ask("CLIENT", "TRACKING", "on")
    client.ask("GET", "a")
    assert client.ask("EVAL", _LONG_SCRIPT, "2", "a", "b") == b"_\r\n"
    assert _told(client) == [b"a"]
    client.ask("CLIENT", "TRACKING", "off")
    other.ask("CONFIG", "SET", "busy-reply-threshold", "5000")


def test_own_changes_come_behind_the_reply(clients: tuple[RawClient, RawClient]) -> None:
    client, _ = clients
    client.ask("CLIENT", "TRACKING", "on")
    client.ask("GET", "a")
    assert client.ask("SET", "a", "1") == b"+OK\r\n"
    assert _told(client) == [b"a"]
    client.ask("CLIENT", "TRACKING", "on", "NOLOOP")
    client.ask("GET", "a")
    assert client.ask_all([("SET", "a", "1"), ("PING",)]) == [b"+OK\r\n", b"+PONG\r\n"]


def test_a_key_that_was_told_is_not_kept(clients: tuple[RawClient, RawClient]) -> None:
    client, other = clients
    client.ask("CLIENT", "TRACKING", "on", "NOLOOP")
    client.ask("MGET", "a", "b", "c")
    assert b"tracking_total_keys:3\r\n" in other.ask("INFO", "stats")
    other.ask("SET", "b", "1")
    assert _told(client) == [b"b"]
    assert b"tracking_total_keys:2\r\n" in other.ask("INFO", "stats")
    # Nobody is told of this one.
    client.ask("SET", "a", "1")
    assert b"tracking_total_keys:1\r\n" in other.ask("INFO", "stats")
    # Read again before the turn is over.
    client.ask_all([("GET", "b"), ("SET", "b", "2"), ("GET", "b")])
    assert b"tracking_total_keys:2\r\n" in other.ask("INFO", "stats")


def test_optin_and_optout(clients: tuple[RawClient, RawClient]) -> None:
    reader, writer = clients
    reader.ask("CLIENT", "TRACKING", "on", "OPTIN")
    reader.ask_all([("GET", "a"), ("CLIENT", "CACHING", "yes"), ("GET", "b"), ("GET", "c")])
    writer.ask("MSET", "a", "1", "b", "1", "c", "1")
    assert _told(reader) == [b"b"]
    reader.ask_all([("CLIENT", "TRACKING", "off"), ("CLIENT", "TRACKING", "on", "OPTOUT")])
    reader.ask_all([("CLIENT", "CACHING", "no"), ("GET", "a"), ("GET", "b")])
    writer.ask("MSET", "a", "1", "b", "1")
    assert _told(reader) == [b"b"]
    assert reader.ask("PING") == b"+PONG\r\n"


def test_broadcasts(clients: tuple[RawClient, RawClient]) -> None:
    reader, writer = clients
    reader.ask("CLIENT", "TRACKING", "on", "BCAST", "PREFIX", "user:", "PREFIX", "o")
    writer.ask_all([("MULTI",), ("SET", "user:1", "x"), ("SET", "user:2", "x"), ("SET", "other", "x"), ("EXEC",)])
    told = [_told(reader), _told(reader)]
    assert sorted(sorted(keys) for keys in told) == [[b"other"], [b"user:1", b"user:2"]]  # type: ignore[call-overload]
    writer.ask("SET", "nothing", "x")
    writer.ask("DEL", "user:1")
    assert _told(reader) == [b"user:1"]


def test_who_goes_over_to_broadcasts_is_not_told_of_what_it_had_read(clients: tuple[RawClient, RawClient]) -> None:
    reader, writer = clients
    reader.ask("CLIENT", "TRACKING", "on")
    reader.ask("MGET", "a", "b")
    reader.ask("CLIENT", "TRACKING", "off")
    reader.ask("CLIENT", "TRACKING", "on", "BCAST")
    writer.ask("MSET", "a", "1", "b", "1", "c", "1")
    assert _told(reader) == [b"a", b"b", b"c"]


def test_everything_is_gone(clients: tuple[RawClient, RawClient]) -> None:
    reader, writer = clients
    reader.ask("CLIENT", "TRACKING", "on")
    reader.ask("GET", "a")
    writer.ask("SET", "b", "1")
    writer.ask("FLUSHALL")
    assert _told(reader) is None


def test_redirection_to_a_client_of_resp2(port: int, clients: tuple[RawClient, RawClient]) -> None:
    reader, writer = clients
    listener = RawClient(port)
    number = str(parse_reply(listener.ask("CLIENT", "ID")))
    listener.ask("SUBSCRIBE", "__redis__:invalidate")
    reader.ask("CLIENT", "TRACKING", "on", "REDIRECT", number)
    assert reader.ask("CLIENT", "GETREDIR") == f":{number}\r\n".encode()
    reader.ask("GET", "a")
    writer.ask("SET", "a", "1")
    assert parse_reply(listener.read_reply()) == [b"message", b"__redis__:invalidate", [b"a"]]
    reader.ask("GET", "a")
    writer.ask("FLUSHALL")
    assert parse_reply(listener.read_reply()) == [b"message", b"__redis__:invalidate", None]
    reader.ask("GET", "a")
    listener.close()
    wait_for(lambda: number.encode() not in writer.ask("CLIENT", "LIST", "ID", number), what="the listener's end")
    writer.ask("SET", "a", "2")
    assert parse_reply(reader.read_reply()) == [b"tracking-redir-broken", int(number)]


def test_expired_keys_are_told(clients: tuple[RawClient, RawClient]) -> None:
    reader, writer = clients
    reader.ask("CLIENT", "TRACKING", "on")
    writer.ask("SET", "a", "1", "PX", "30")
    reader.ask("GET", "a")
    wait_for(lambda: writer.ask("GET", "a") == b"$-1\r\n", what="the end of the key")
    assert _told(reader) == [b"a"]


def test_what_is_evicted_is_told_before_the_reply(pair: Pair) -> None:
    conversations = []
    for client in pair.connect():
        client.ask("HELLO", "3")
        client.ask("CONFIG", "SET", "maxmemory-policy", "volatile-random")
        client.ask("CLIENT", "TRACKING", "on")
        client.ask("SET", "volatile", "x", "EX", "1000")
        client.ask("GET", "volatile")
        try:
            # In one go, for the server also makes room by itself.
            client.send(
                encode_command([b"CONFIG", b"SET", b"maxmemory", b"1"]) + encode_command([b"GETBIT", b"k", b"0"])
            )
            conversations.append([client.read_reply() for _ in range(3)])
        finally:
            client.ask("CONFIG", "SET", "maxmemory", "0")
            client.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert conversations[0] == conversations[1]
    assert conversations[0][1] == b">2\r\n$10\r\ninvalidate\r\n*1\r\n$8\r\nvolatile\r\n"


def test_a_smaller_table_is_small_at_once(clients: tuple[RawClient, RawClient]) -> None:
    reader, _ = clients
    reader.ask("CLIENT", "TRACKING", "on")
    reader.ask("MSET", "a", "1", "b", "2")
    reader.ask("MGET", "a", "b")
    assert reader.ask("CONFIG", "SET", "tracking-table-max-keys", "1") == b"+OK\r\n"
    assert _told(reader) in ([b"a"], [b"b"])
    assert reader.ask("CONFIG", "SET", "tracking-table-max-keys", "1000000") == b"+OK\r\n"


def _counted(client: RawClient) -> tuple[int, int]:
    """How many keys are remembered, and how many readers of them."""
    fields = dict(line.split(b":", 1) for line in client.ask("INFO", "stats").split(b"\r\n") if b":" in line)
    return int(fields[b"tracking_total_keys"]), int(fields[b"tracking_total_items"])


def _many_read(reader: RawClient, writer: RawClient, count: int) -> list[str]:
    """Both have read so many keys, in RESP3."""
    names = [f"many:{number}" for number in range(count)]
    for client in (reader, writer):
        client.ask("HELLO", "3")
        client.ask("CLIENT", "TRACKING", "ON")
        client.ask("MGET", *names)
    assert _counted(writer) == (count, 2 * count)
    return names


def test_a_table_that_is_far_too_large_becomes_smaller_in_portions(pair: Pair) -> None:
    reader, writer = pair.connect()[0], pair.connect()[0]
    names = _many_read(reader, writer, 5000)
    writer.ask("CLIENT", "TRACKING", "OFF")
    writer.ask("CONFIG", "SET", "tracking-table-max-keys", "10")
    # At least as much as Redis forgets with each command has gone, and not all of it.
    assert 10 < _counted(writer)[0] <= 4900
    wait_for(lambda: _counted(writer) == (10, 20), what="the table to be small")
    told = [parse_reply(reader.read_reply()) for _ in range(4990)]
    assert told == [[b"invalidate", [name.encode()]] for name in names[:4990]]
    writer.ask("CONFIG", "SET", "tracking-table-max-keys", "1000000")
    writer.ask("DEL", "many:4999")
    writer.ask("SET", "many:4999", "x")
    assert _counted(writer) == (9, 18)
    assert parse_reply(reader.read_reply()) == [b"invalidate", [b"many:4999"]]
    writer.ask("FLUSHALL")
    assert _counted(writer) == (0, 0)


def test_of_many_keys_in_swapped_databases_a_reader_is_told_in_one_word(pair: Pair) -> None:
    reader, writer = pair.connect()[0], pair.connect()[0]
    names = _many_read(reader, writer, 2000)
    writer.ask("CLIENT", "TRACKING", "OFF")
    writer.ask("SET", names[0], "x")
    assert parse_reply(reader.read_reply()) == [b"invalidate", [names[0].encode()]]
    writer.ask("SWAPDB", "0", "1")
    assert parse_reply(reader.read_reply()) == [b"invalidate", None]
    assert _counted(writer) == (0, 0)
