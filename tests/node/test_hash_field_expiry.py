"""Fields of hashes that expire, as Redis 7.4 documents them. The real server of these tests is a 7.0 and has none."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from node.structures.deadlines import Deadlines
from tests.node.conftest import Pair
from tests.node.fake_replica import FakeReplica
from tests.node.own_server import OwnServer
from tests.node.raw_client import RawClient, as_integer, bulk_strings, parse_reply
from tests.waiting import wait_for

_FAR_MS = 69_999_999_999_999
_FIELDS = ("FIELDS", "2", "a", "b")


@pytest.fixture
def ours(pair: Pair) -> RawClient:
    """A client of our server, in which the hash ``h`` has fields a to d; nothing expires there by a timer."""
    client, _ = pair.connect()
    client.ask("HSET", "h", "a", "1", "b", "2", "c", "3", "d", "4")
    return client


def _stream(client: RawClient, replica: FakeReplica, since: list[bytes]) -> list[list[bytes]]:
    """What replicas were told after the command `since`."""
    client.ask("PUBLISH", "the end", "the end")
    told = replica.read_until(b"the end")
    return told[told.index(since) + 1 : -1]


def _wait_past(client: RawClient, moment_ms: int) -> None:
    """Return when the server's clock is beyond a moment."""

    def past() -> bool:
        seconds, microseconds = (int(part) for part in bulk_strings(client.ask("TIME")))
        return seconds * 1000 + microseconds // 1000 > moment_ms

    wait_for(past, what="the moment")


def _soon(client: RawClient, *fields: str, key: str = "h") -> int:
    """Let fields expire in a moment, which is returned."""
    client.ask("HPEXPIRE", key, "40", "FIELDS", str(len(fields)), *fields)
    moments = parse_reply(client.ask("HPEXPIRETIME", key, "FIELDS", "1", fields[-1]))
    return int(moments[0])


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("HEXPIRE h 100 FIELDS 2 a nofield", [1, -2]),
        ("HEXPIRE nokey 100 FIELDS 2 a b", [-2, -2]),
        ("HPEXPIRE h 100000 NX fields 2 a b", [0, 1]),
        ("HPEXPIRE h 100000 XX FIELDS 2 a b", [1, 0]),
        ("HPEXPIREAT h 69999999999998 gt FIELDS 2 a b", [0, 0]),
        ("HPEXPIREAT h 69999999999999 GT FIELDS 1 a", [0]),
        ("HPEXPIREAT h 70000000000000 GT FIELDS 1 a", [1]),
        ("HPEXPIREAT h 69999999999998 LT FIELDS 2 a b", [1, 1]),
        ("HPEXPIREAT h 69999999999999 LT FIELDS 1 a", [0]),
        ("HEXPIREAT h 69999999999 FIELDS 1 b", [1]),
        ("HEXPIRE h 0 FIELDS 2 a b", [2, 2]),
        ("HPEXPIREAT h 1 FIELDS 2 a nofield", [2, -2]),
        ("HPEXPIREAT h 1 XX FIELDS 2 a b", [2, 0]),
        ("HTTL h FIELDS 3 a b nofield", [-2, -1, -2]),
        ("HTTL nokey FIELDS 1 a", [-2]),
        ("HPEXPIRETIME h FIELDS 3 a b nofield", [_FAR_MS, -1, -2]),
        ("HEXPIRETIME h FIELDS 1 a", [_FAR_MS // 1000 + 1]),
        ("HPERSIST h FIELDS 3 a b nofield", [1, -1, -2]),
        ("HPERSIST nokey FIELDS 1 a", [-2]),
    ],
)
def test_codes(ours: RawClient, line: str, codes: list[int]) -> None:
    ours.ask("HPEXPIREAT", "h", str(_FAR_MS), "FIELDS", "1", "a")
    if line.startswith("HTTL h"):
        ttl = parse_reply(ours.ask(*line.split()))
        assert ttl[0] > 10**9
        assert ttl[1:] == codes[1:]
    else:
        assert parse_reply(ours.ask(*line.split())) == codes


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("HEXPIRE h x FIELDS 1 a", "ERR value is not an integer or out of range"),
        ("HEXPIRE h -1 FIELDS 1 a", "ERR invalid expire time, must be >= 0"),
        ("HEXPIRE h 9223372036854775807 FIELDS 1 a", "ERR invalid expire time in 'hexpire' command"),
        ("HPEXPIREAT h 70368744177664 FIELDS 1 a", "ERR invalid expire time in 'hpexpireat' command"),
        ("HEXPIRE h 1 NX a b c", "ERR Mandatory argument FIELDS is missing or not at the right position"),
        ("HEXPIRE h 1 FOO FIELDS 1 a", "ERR Mandatory argument FIELDS is missing or not at the right position"),
        ("HEXPIRE h 1 FIELDS 0 a", "ERR Parameter `numFields` should be greater than 0"),
        ("HEXPIRE h 1 FIELDS x a", "ERR Parameter `numFields` should be greater than 0"),
        ("HEXPIRE h 1 FIELDS 2 a", "ERR The `numfields` parameter must match the number of arguments"),
        ("HTTL h FIELDS 0 a", "ERR Number of fields must be a positive integer"),
        ("HPERSIST h FIELDS -1 a", "ERR Number of fields must be a positive integer"),
        ("HTTL h FIELDS 1 a b", "ERR The `numfields` parameter must match the number of arguments"),
        ("HTTL s FIELDS 0 a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HEXPIRE s x FIELDS 1 a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HPERSIST h FIELDS", "ERR wrong number of arguments for 'hpersist' command"),
    ],
)
def test_errors(ours: RawClient, line: str, error: str) -> None:
    ours.ask("SET", "s", "x")
    assert ours.ask(*line.split()) == f"-{error}\r\n".encode()


def test_an_expired_field_is_gone_when_it_is_looked_at(ours: RawClient, replica: FakeReplica) -> None:
    ours.ask("CONFIG", "RESETSTAT")
    ours.ask("HSET", "h", "e", "5", "f", "6", "g", "7")
    moment = _soon(ours, "a", "b", "c", "e", "f", "g")
    assert b",subexpiry=1\r\n" in ours.ask("INFO", "keyspace")
    _wait_past(ours, moment)
    # Who counts, lists or writes over fields, or asks for their times, looks at none.
    assert parse_reply(ours.ask("HGETALL", "h")) == [b"d", b"4"]
    assert parse_reply(ours.ask("HSCAN", "h", "0")) == [b"0", [b"d", b"4"]]
    assert parse_reply(ours.ask("HTTL", "h", "FIELDS", "2", "a", "d")) == [-2, -1]
    assert parse_reply(ours.ask("HPERSIST", "h", "FIELDS", "2", "a", "d")) == [-2, -1]
    assert ours.ask("HLEN", "h") == b":7\r\n"
    assert ours.ask("HSET", "h", "g", "8") == b":0\r\n"
    assert ours.ask("HDEL", "h", "f") == b":1\r\n"
    assert ours.ask("HGET", "h", "a") == b"$-1\r\n"
    assert ours.ask("HINCRBY", "h", "b", "5") == b":5\r\n"
    assert parse_reply(ours.ask("HMGET", "h", "c", "d", "e", "c")) == [None, b"4", None, None]
    assert parse_reply(ours.ask("HGETALL", "h")) == [b"d", b"4", b"g", b"8", b"b", b"5"]
    assert ours.ask("HLEN", "h") == b":3\r\n"
    assert b"\r\nexpired_subkeys:4\r\n" in ours.ask("INFO", "stats")
    assert b"subexpiry" not in ours.ask("INFO", "keyspace")
    times = [b"HPEXPIREAT", b"h", b"%d" % moment, b"FIELDS", b"6", b"a", b"b", b"c", b"e", b"f", b"g"]
    assert _stream(ours, replica, times) == [
        [b"HSET", b"h", b"g", b"8"],
        [b"HDEL", b"h", b"f"],
        [b"HDEL", b"h", b"a"],
        [b"MULTI"],
        [b"HDEL", b"h", b"b"],
        [b"HINCRBY", b"h", b"b", b"5"],
        [b"EXEC"],
        [b"MULTI"],
        [b"HDEL", b"h", b"c"],
        [b"HDEL", b"h", b"e"],
        [b"EXEC"],
    ]


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("HGET h a", b"$-1\r\n"),
        ("HEXISTS h a", b":0\r\n"),
        ("HSTRLEN h a", b":0\r\n"),
        ("HMGET h a b", b"*2\r\n$-1\r\n$-1\r\n"),
        ("HRANDFIELD h", b"$-1\r\n"),
        ("HRANDFIELD h 3", b"*0\r\n"),
        ("HGETDEL h FIELDS 1 a", b"*1\r\n$-1\r\n"),
        ("HGETEX h PERSIST FIELDS 1 a", b"*1\r\n$-1\r\n"),
        ("HSETEX h FXX FIELDS 1 a 1", b":0\r\n"),
        ("SORT l BY nosort GET *->a", b"*1\r\n$-1\r\n"),
    ],
)
def test_the_last_field_takes_the_key(ours: RawClient, line: str, reply: bytes) -> None:
    ours.ask("RPUSH", "l", "h")
    ours.ask("HDEL", "h", "b", "c", "d")
    _wait_past(ours, _soon(ours, "a"))
    assert ours.ask("OBJECT", "ENCODING", "h") == b"$10\r\nlistpackex\r\n"
    assert ours.ask(*line.split()) == reply
    assert ours.ask("EXISTS", "h") == b":0\r\n"


def test_events(pair: Pair, ours: RawClient) -> None:
    watcher, _ = pair.connect()
    ours.ask("CONFIG", "SET", "notify-keyspace-events", "Egh")
    watcher.ask("PSUBSCRIBE", "*")
    moment = _soon(ours, "a", "b")
    ours.ask("HPERSIST", "h", "FIELDS", "1", "b")
    _wait_past(ours, moment)
    ours.ask("HGET", "h", "a")
    ours.ask("HEXPIRE", "h", "0", "FIELDS", "3", "b", "c", "d")
    events = [parse_reply(watcher.read_reply())[2].partition(b":")[2] for _ in range(5)]
    assert events == [b"hexpire", b"hpersist", b"hexpired", b"hdel", b"del"]


def test_a_new_value_lives_for_ever_and_a_changed_one_as_long_as_before(ours: RawClient, replica: FakeReplica) -> None:
    ours.ask("HPEXPIREAT", "h", str(_FAR_MS), "FIELDS", "4", "a", "b", "c", "d")
    ours.ask("HSET", "h", "a", "5")
    ours.ask("HINCRBY", "h", "b", "5")
    ours.ask("HINCRBYFLOAT", "h", "c", "0.5")
    ours.ask("HDEL", "h", "d")
    ours.ask("HSETNX", "h", "d", "6")
    assert parse_reply(ours.ask("HPEXPIRETIME", "h", "FIELDS", "4", "a", "b", "c", "d")) == [-1, _FAR_MS, _FAR_MS, -1]
    told = _stream(ours, replica, [b"HSET", b"h", b"a", b"5"])
    moment = str(_FAR_MS).encode()
    assert told[1:4] == [
        [b"MULTI"],
        [b"HSET", b"h", b"c", b"3.5"],
        [b"HPEXPIREAT", b"h", moment, b"FIELDS", b"1", b"c"],
    ]


@pytest.mark.parametrize("long", [False, True])
def test_times_go_where_the_hash_goes(ours: RawClient, long: bool) -> None:
    if long:
        ours.ask("HSET", "h", *[f"field:{number}" for number in range(2000)])
    ours.ask("HPEXPIREAT", "h", str(_FAR_MS), "FIELDS", "2", "a", "b")
    ours.ask("COPY", "h", "copied")
    ours.ask("HPERSIST", "copied", "FIELDS", "1", "b")
    ours.ask("RENAME", "h", "renamed")
    dump = ours.ask("DUMP", "renamed")
    ours.ask("RESTORE", "restored", "0", dump[dump.index(b"\r\n") + 2 : -2])
    digest = ours.ask("DEBUG", "DIGEST")
    assert ours.ask("DEBUG", "RELOAD") == b"+OK\r\n"
    assert ours.ask("DEBUG", "DIGEST") == digest
    for key, times in (
        ("copied", [_FAR_MS, -1]),
        ("renamed", [_FAR_MS, _FAR_MS]),
        ("restored", [_FAR_MS, _FAR_MS]),
    ):
        assert parse_reply(ours.ask("HPEXPIRETIME", key, *_FIELDS)) == times, key
        assert ours.ask("HLEN", key) == (b":1004\r\n" if long else b":4\r\n")
    ours.ask("HPERSIST", "renamed", *_FIELDS)
    assert ours.ask("DEBUG", "DIGEST") != digest


def test_what_nobody_reads_is_deleted_by_a_timer(start_server: Callable[..., OwnServer]) -> None:
    server = start_server("--appendonly", "yes", "--aof-use-rdb-preamble", "no").wait_ready()
    client = server.client()
    for number in range(50):
        client.ask("HSET", f"h{number}", "a", "1", "b", "2")
        client.ask("HPEXPIRE", f"h{number}", "30", *(_FIELDS if number % 2 else ("FIELDS", "1", "a")))
    client.ask("RENAME", "h49", "renamed")
    client.ask("HSET", "kept", "a", "1", "b", "2")
    client.ask("HPEXPIREAT", "kept", str(_FAR_MS), "FIELDS", "1", "a")
    wait_for(lambda: as_integer(client.ask("DBSIZE")) == 26, what="the expired to be gone")
    halves = [("HLEN", f"h{number}") for number in range(0, 50, 2)]
    wait_for(lambda: set(client.ask_all(halves)) == {b":1\r\n"}, what="the expired fields to be gone")
    assert client.ask("BGREWRITEAOF").startswith(b"+")
    wait_for(lambda: b"aof_rewrite_in_progress:0" in client.ask("INFO", "persistence"), what="the new base")
    server.kill()
    again = start_server("--appendonly", "yes").wait_ready().client()
    assert parse_reply(again.ask("HPEXPIRETIME", "kept", *_FIELDS)) == [_FAR_MS, -1]
    assert as_integer(again.ask("DBSIZE")) == 26


def test_a_replica_hides_what_has_expired_until_its_master_deletes_it(start_server: Callable[..., OwnServer]) -> None:
    options = ("--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0")
    master = start_server(*options, folder="master").wait_ready()
    copy = start_server("--replicaof", f"127.0.0.1 {master.port}", folder="copy").wait_ready()
    writer, reader = master.client(), copy.client()
    writer.ask("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    writer.ask("HSET", "h", "a", "1", "b", "2")
    wait_for(lambda: reader.ask("HLEN", "h") == b":2\r\n", what="the hash on the replica")
    moment = _soon(writer, "a")
    wait_for(lambda: reader.ask("HGET", "h", "a") == b"$-1\r\n", what="the field to be hidden")
    assert time.time() * 1000 > moment
    assert parse_reply(reader.ask("HGETALL", "h")) == [b"b", b"2"]
    assert parse_reply(reader.ask("HMGET", "h", "a", "b")) == [None, b"2"]
    assert reader.ask("HRANDFIELD", "h", "5") == b"*1\r\n$1\r\nb\r\n"
    assert reader.ask("HLEN", "h") == b":2\r\n"
    assert parse_reply(reader.ask("HPEXPIRETIME", "h", *_FIELDS)) == [-2, -1]
    # It is there all the same, as a dump shows, until it is read on the master.
    before = copy.client().ask("DUMP", "h")
    writer.ask("HGET", "h", "a")
    wait_for(lambda: reader.ask("DUMP", "h") != before, what="the deletion")
    assert reader.ask("HGETALL", "h") == writer.ask("HGETALL", "h")


@pytest.mark.parametrize(("lasting", "count"), [(2000, 1), (2000, 20), (2000, -20), (2000, 1500), (20, 5), (20, 90)])
def test_of_many_that_are_due_a_draw_takes_a_portion_out(
    ours: RawClient, replica: FakeReplica, lasting: int, count: int
) -> None:
    due = [f"due:{number}" for number in range(1000)]
    kept = [f"kept:{number}" for number in range(lasting)]
    ours.ask("HSET", "many", *[word for field in (*due, *kept) for word in (field, "x")])
    _wait_past(ours, _soon(ours, *due, key="many"))
    ours.ask("SET", "before", "the draw")
    found = bulk_strings(ours.ask("HRANDFIELD", "many", str(count)))
    assert len(found) == (min(count, lasting) if count > 0 else -count)
    assert count < 0 or len(set(found)) == len(found)
    assert {field.decode() for field in found} <= set(kept)
    told = _stream(ours, replica, [b"SET", b"before", b"the draw"])
    deletions = [words for words in told if words[:2] == [b"HDEL", b"many"]]
    assert 0 < len(deletions) < 500
    assert as_integer(ours.ask("HLEN", "many")) == 1000 + lasting - len(deletions)
    assert {word.decode() for word in bulk_strings(ours.ask("HKEYS", "many"))} == set(kept)


def test_of_a_large_hash_that_is_due_altogether_nothing_is_drawn(ours: RawClient) -> None:
    fields = [f"field:{number}" for number in range(1000)]
    ours.ask("HSET", "many", *[word for field in fields for word in (field, "x")])
    _wait_past(ours, _soon(ours, *fields, key="many"))
    assert ours.ask("HRANDFIELD", "many") == b"$-1\r\n"
    assert ours.ask("HRANDFIELD", "many", "5") == b"*0\r\n"
    assert 0 < as_integer(ours.ask("HLEN", "many")) < 1000


@pytest.mark.parametrize("names", [5, 17, 60])
def test_deadlines_beside_a_dict(names: int) -> None:
    chance = random.Random(names)
    deadlines, plain = Deadlines(), dict[bytes, int]()
    now_ms = 0
    for _ in range(5000):
        name = b"%d" % chance.randrange(names)
        if chance.random() < 0.8:
            plain[name] = now_ms + chance.randrange(100)
            deadlines.set(name, plain[name])
        else:
            assert deadlines.forget(name) == (plain.pop(name, None) is not None)
        assert deadlines.first_ms() == min(plain.values(), default=None)
        now_ms += chance.randrange(3)
        limit = chance.choice([0, 1, 5])
        expected = sorted((when, each) for each, when in plain.items() if when < now_ms)
        due = [each for _, each in (expected[:limit] if limit else expected)]
        assert deadlines.take_due(now_ms, limit) == due
        for each in due:
            del plain[each]
        assert deadlines.times == plain
        assert deadlines._heap is None or len(deadlines._heap) <= 2 * len(plain) + 70 + names
        assert names > 16 or deadlines._heap is None
