"""DEBUG's ways to look at data and to prepare tests: what a real server answers to the same."""

from __future__ import annotations

import re

import pytest

from tests.node.conftest import Pair
from tests.node.fake_replica import FakeReplica
from tests.node.raw_client import RawClient, parse_reply
from tests.node.test_info import fields

_LONG = "x" * 100
_DATA = [
    ("SET", "string", _LONG),
    ("SET", "number", "17"),
    ("RPUSH", "list", "a", "b", "c"),
    ("SADD", "intset", "1", "2"),
    ("SADD", "set", "a"),
    ("HSET", "hash", "a", "1"),
    ("HSET", "long-hash", "a", _LONG),
    ("ZADD", "zset", "1", "a"),
    ("ZADD", "long-zset", "1", _LONG),
]
_KEYS = [words[1] for words in _DATA]
_TYPES = [
    *("string", "integer", "double", "bignum", "null", "array", "set", "map", "attrib", "push", "verbatim", "true"),
    *("false", "nosuch"),
]


@pytest.fixture
def both(pair: Pair) -> tuple[RawClient, RawClient]:
    """A client of each server, with a key of every type and encoding."""
    clients = pair.connect()
    for client in clients:
        client.ask_all(list(_DATA))
    return clients


@pytest.mark.parametrize("key", [*_KEYS, "missing"])
@pytest.mark.parametrize("verb", ["LISTPACK", "QUICKLIST", "HTSTATS-KEY", "SDSLEN", "OBJECT"])
def test_looking_at_a_value(both: tuple[RawClient, RawClient], verb: str, key: str) -> None:
    ours, theirs = (client.ask("DEBUG", verb, key) for client in both)
    if theirs.startswith(b"-") or verb in ("LISTPACK", "QUICKLIST"):
        assert ours == theirs
    elif verb == "HTSTATS-KEY":
        # Chains are of Redis' tables only.
        assert ours.split(b"\r\n")[1].rstrip() in theirs
    else:
        assert _facts(ours) == _facts(theirs)


def _facts(line: bytes) -> dict[bytes, bytes]:
    """What a line of names and values says, without what depends on memory, clock or configuration."""
    found = dict(re.findall(rb"(\w+): ?([\w.-]+)", line))
    of_memory = (b"at", b"val_sds_avail", b"key_zmalloc", b"val_zmalloc", b"serializedlength", b"ql_uncompressed_size")
    of_others = (b"lru", b"lru_seconds_idle", b"ql_listpack_max")
    return {name: value for name, value in found.items() if name not in (*of_memory, *of_others)}


def test_when_an_object_was_used(pair: Pair) -> None:
    for client in pair.connect():
        client.ask("SET", "k", "v")
        dump = parse_reply(client.ask("DUMP", "k"))
        # From here on our server notes uses.
        client.ask("DEBUG", "OBJECT", "k")
        client.ask("RESTORE", "old", "0", dump, "IDLETIME", "1000")
        before = _used(client, "old")
        assert before["lru_seconds_idle"] in (1000, 1001)
        clock = int(fields(client, "server")["lru_clock"])
        assert 0 <= clock - before["lru"] - before["lru_seconds_idle"] <= 1
        client.ask("GET", "old")
        after = _used(client, "old")
        assert after["lru_seconds_idle"] < 1000
        assert after["lru"] >= before["lru"] + 1000


def _used(client: RawClient, key: str) -> dict[str, int]:
    line = client.ask("DEBUG", "OBJECT", key).decode()
    return {name: int(number) for name, number in re.findall(r"(lru\w*):(\d+)", line)}


@pytest.mark.parametrize("kind", _TYPES)
@pytest.mark.parametrize("proto", ["2", "3"])
def test_a_reply_of_each_type(pair: Pair, kind: str, proto: str) -> None:
    ours, theirs = pair.connect()
    for client in (ours, theirs):
        client.ask("HELLO", proto)
        client.send(b"DEBUG PROTOCOL %b\r\nPING\r\n" % kind.encode())
    for mine, other in zip(_until_pong(ours), _until_pong(theirs), strict=True):
        assert mine == other


def _until_pong(client: RawClient) -> list[bytes]:
    lines: list[bytes] = []
    while not lines or lines[-1] != b"+PONG\r\n":
        lines.append(client._until(b"\r\n"))
    return lines


@pytest.mark.parametrize(
    "line",
    [
        "DEBUG",
        "DEBUG NOSUCH",
        "DEBUG OBJECT",
        "DEBUG OBJECT a b",
        "DEBUG RELOAD NOSAVE FOO",
        "DEBUG HTSTATS x",
        "DEBUG HTSTATS 99",
        "DEBUG POPULATE x",
        "DEBUG POPULATE -1",
        "DEBUG POPULATE 1 key x",
        "DEBUG POPULATE 1 key 1 x",
        "DEBUG STRUCTSIZE",
        "DEBUG STRINGMATCH-TEST x",
        "DEBUG QUICKLIST-PACKED-THRESHOLD 100b",
        "DEBUG QUICKLIST-PACKED-THRESHOLD x",
        "DEBUG QUICKLIST-PACKED-THRESHOLD 0",
        "DEBUG SET-DISABLE-DENY-SCRIPTS 0",
        "DEBUG PAUSE-CRON 0",
        "DEBUG SET-SKIP-CHECKSUM-VALIDATION 0",
        "DEBUG REPLYBUFFER RESIZING 1",
        "DEBUG REPLYBUFFER PEAK-RESET-TIME RESET",
        "DEBUG REPLYBUFFER FOO 1",
        "DEBUG AOF-FLUSH-SLEEP 0",
        "DEBUG LEAK x",
        "DEBUG CLUSTERLINK KILL TO x",
        "DEBUG CLUSTERLINK SPARE TO x",
        "DEBUG CLUSTERLINK KILL TO",
        "DEBUG DROP-CLUSTER-PACKET-FILTER -1",
        "DEBUG DROP-CLUSTER-PACKET-FILTER x",
        "DEBUG DROP-CLUSTER-PACKET-FILTER",
        "DEBUG DIGEST-VALUE",
        "DEBUG ERROR text",
    ],
)
def test_the_same_answer(pair: Pair, line: str) -> None:
    ours, theirs = pair.connect()
    assert ours.ask(*line.split()) == theirs.ask(*line.split())


@pytest.mark.parametrize("arguments", [["5"], ["3", "prefix"], ["3", "key", "4"], ["3", "key", "20"], ["0"]])
def test_populate(pair: Pair, arguments: list[str]) -> None:
    digests = []
    for client in pair.connect():
        client.ask("SET", "key:1", "kept")
        assert client.ask("DEBUG", "POPULATE", *arguments) == b"+OK\r\n"
        digests.append(client.ask("DEBUG", "DIGEST"))
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    "options", [["NOSAVE"], ["nosave", "NOFLUSH", "MERGE"], ["MERGE"], ["NOFLUSH", "MERGE"]], ids=" ".join
)
def test_reload(both: tuple[RawClient, RawClient], options: list[str]) -> None:
    digests = []
    for client in both:
        assert client.ask("SAVE") == b"+OK\r\n"
        client.ask("SET", "string", "changed")
        client.ask("SET", "added", "later")
        assert client.ask("DEBUG", "RELOAD", *options) == b"+OK\r\n"
        digests.append(client.ask("DEBUG", "DIGEST"))
    assert digests[0] == digests[1]


def test_conflicting_keys_are_an_error(pair: Pair) -> None:
    """A real server dies of them."""
    ours, _ = pair.connect()
    ours.ask("SET", "a", "1")
    assert ours.ask("DEBUG", "RELOAD", "NOFLUSH") == b"-ERR Error trying to load the RDB dump\r\n"
    assert ours.ask("GET", "a") == b"$1\r\n1\r\n"


def test_change_replication_id(pair: Pair) -> None:
    for client in pair.connect():
        ids = []
        for _ in range(2):
            info = client.ask("INFO", "replication")
            ids.append(re.search(rb"master_replid:(\w+)", info))
            assert client.ask("DEBUG", "CHANGE-REPL-ID") == b"+OK\r\n"
        assert b"master_replid2:" + b"0" * 40 in client.ask("INFO", "replication")
        assert ids[0] is not None
        assert ids[1] is not None
        assert ids[0][1] != ids[1][1]


def test_scripts_may_be_let_run_everything(pair: Pair) -> None:
    script = "return redis.call('debug', 'digest-value', 'a')"
    for client in pair.connect():
        assert client.ask("EVAL", script, "0").startswith(b"-")
        client.ask("DEBUG", "SET-DISABLE-DENY-SCRIPTS", "1")
        assert client.ask("EVAL", script, "0") == b"*1\r\n+" + b"0" * 40 + b"\r\n"
        client.ask("DEBUG", "SET-DISABLE-DENY-SCRIPTS", "0")
        assert client.ask("EVAL", script, "0").startswith(b"-")


def test_help_names_what_there_is(pair: Pair) -> None:
    ours, theirs = pair.connect()
    mine, other = (client.ask("DEBUG", "HELP").split(b"\r\n") for client in (ours, theirs))
    names = {
        line.split()[0]
        for lines in (mine, other)
        for line in (each.removeprefix(b"+") for each in lines)
        if line[:1].isupper() and not line.startswith(b"DEBUG ")
    }
    missing = {name for name in names if not _knows(ours, name)}
    assert missing <= {
        *(b"CONFIG-REWRITE-FORCE-ALL", b"CRASH-AND-RECOVER", b"RESTART", b"OOM", b"MALLCTL", b"MALLCTL-STR"),
        *(b"DROP-CLUSTER-PACKET-FILTER", b"CLIENT-EVICTION", b"CLUSTERLINK"),
    }


def _knows(client: RawClient, name: bytes) -> bool:
    """Whether the subcommand exists; those that end the server, or look at words, are not tried."""
    if name in (b"SEGFAULT", b"PANIC", b"ASSERT", b"REPLYBUFFER"):
        return True
    replies = [client.ask("DEBUG", name, *["0"] * count) for count in range(4)]
    return not all(reply.startswith(b"-ERR unknown subcommand") for reply in replies)


def test_replicate_tells_only_the_replicas(pair: Pair) -> None:
    ours, _ = pair.connect()
    replica = FakeReplica(pair.ours)
    try:
        assert ours.ask("DEBUG", "REPLICATE", "SET", "a", "1") == b"+OK\r\n"
        assert ours.ask("EXISTS", "a") == b":0\r\n"
        assert replica.read_until(b"1")[-1] == [b"SET", b"a", b"1"]
    finally:
        replica.close()


def test_what_has_expired_is_an_object_until_it_is_deleted(pair: Pair) -> None:
    for client in pair.connect():
        client.ask_all(
            [("DEBUG", "SET-ACTIVE-EXPIRE", "0"), ("SET", "gone", "x", "PX", "1"), ("DEBUG", "SLEEP", "0.01")]
        )
        assert client.ask("DEBUG", "OBJECT", "gone").startswith(b"+Value at:")
        assert client.ask("EXISTS", "gone") == b":0\r\n"
        assert client.ask("DEBUG", "OBJECT", "gone") == b"-ERR no such key\r\n"
