"""INFO: the sections and fields of the real server, and numbers that mean something."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.node.conftest import Pair
from tests.node.fake_replica import FakeReplica
from tests.node.own_server import OwnServer
from tests.node.raw_client import RawClient
from tests.waiting import wait_for

# Ours, in the section of the server itself.
OWN_FIELDS = ["shardlab_version", "interpreter", "compiled_modules", "event_loop"]
OWN_FIELDS += ["gc_collections", "gc_usec", "gc_longest_usec"]
# Of Redis 7.2 and 7.4.
LATER_FIELDS = ["listener0", "pubsub_clients", "watching_clients", "total_watched_keys"]
LATER_FIELDS += ["total_blocking_keys", "total_blocking_keys_on_nokey", "expired_subkeys"]
LATER_FIELDS += ["client_query_buffer_limit_disconnections", "client_output_buffer_limit_disconnections"]
LATER_FIELDS += [f"acl_access_denied_{reason}" for reason in ("auth", "cmd", "key", "channel")]
# Their fields depend on what was run.
GROWING = ("Commandstats", "Errorstats", "Latencystats", "Keyspace")


def sections(client: RawClient, *arguments: str) -> dict[str, list[str]]:
    """The field names of each section, in order."""
    found: dict[str, list[str]] = {}
    for line in text(client, *arguments).splitlines():
        if line.startswith("# "):
            found[line[2:]] = []
        elif line:
            list(found.values())[-1].append(line.split(":", 1)[0])
    return found


def fields(client: RawClient, *arguments: str) -> dict[str, str]:
    lines = text(client, *arguments).splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def text(client: RawClient, *arguments: str) -> str:
    return client.ask("INFO", *arguments).split(b"\r\n", 1)[1][:-2].decode()


def test_every_field_of_redis_is_there_in_its_place(pair: Pair) -> None:
    ours, theirs = (sections(client, "everything") for client in pair.connect())
    assert list(ours) == list(theirs)
    for name, expected in theirs.items():
        if name not in GROWING:
            assert [field for field in ours[name] if field not in OWN_FIELDS + LATER_FIELDS] == expected, name
    assert ours["Server"][-len(OWN_FIELDS) :] == OWN_FIELDS


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("default",),
        ("all",),
        ("everything",),
        ("SERVER",),
        ("keyspace", "server", "nosuch"),
        ("nosuch",),
        ("commandstats", "default"),
        ("all", "nosuch"),
    ],
)
def test_the_sections_asked_for(arguments: tuple[str, ...], pair: Pair) -> None:
    ours, theirs = (list(sections(client, *arguments)) for client in pair.connect())
    assert ours == theirs


def test_resp3_makes_it_verbatim_text(pair: Pair) -> None:
    for client in pair.connect():
        client.ask("HELLO", "3")
        assert client.ask("INFO", "cpu").split(b"\r\n")[1] == b"txt:# CPU"


def test_numbers_of_both_agree(pair: Pair) -> None:
    shown = []
    for client in pair.connect():
        client.ask("CONFIG", "RESETSTAT")
        client.ask("SET", "a", "1")
        client.ask("SET", "b", "1", "PX", "100000")
        client.ask("GET", "a")
        client.ask("GET", "nosuch")
        client.ask("NOSUCH")
        client.ask("GET")
        client.ask("INCR", "a", "b")
        client.ask("SETRANGE", "a", "-1", "x")
        client.ask("CONFIG", "SET", "nosuch", "1")
        counted = fields(client, "everything")
        names = ("keyspace_hits", "keyspace_misses", "total_error_replies", "errorstat_ERR", "expired_keys", "role")
        numbers = {name: counted[name] for name in names}
        calls = {
            name: [part for part in value.split(",") if not part.startswith("usec")]
            for name, value in counted.items()
            if name.startswith("cmdstat_") and name not in ("cmdstat_debug", "cmdstat_flushall")
        }
        keys = counted["db0"].split(",avg_ttl=")[0]
        shown.append((numbers, calls, keys))
    assert shown[0] == shown[1]


def test_command_times_add_up(pair: Pair) -> None:
    ours, _ = pair.connect()
    ours.ask("CONFIG", "RESETSTAT")
    ours.ask("DEBUG", "SLEEP", "0.05")
    parts = dict(part.split("=") for part in fields(ours, "commandstats")["cmdstat_debug"].split(","))
    assert parts["calls"] == "1"
    assert int(parts["usec"]) >= 50_000
    assert float(parts["usec_per_call"]) == pytest.approx(int(parts["usec"]), abs=1)


def test_clients_are_counted(pair: Pair) -> None:
    ours, _ = pair.connect()
    before = int(fields(ours, "clients")["connected_clients"])
    extra = RawClient(pair.ours)
    extra.ask("PING")
    assert int(fields(ours, "clients")["connected_clients"]) == before + 1
    extra.close()
    wait_for(lambda: int(fields(ours, "clients")["connected_clients"]) == before, what="the client's end")


def test_throughput_is_sampled(pair: Pair) -> None:
    ours, _ = pair.connect()
    stats = fields(ours, "stats")
    sent = int(stats["total_net_input_bytes"])

    def busy() -> bool:
        ours.ask_all([("PING",)] * 200)
        return int(fields(ours, "stats")["instantaneous_ops_per_sec"]) > 100

    wait_for(busy, what="a rate of more than 100 commands a second")
    assert int(fields(ours, "stats")["total_net_input_bytes"]) >= sent + 200 * 14


def test_slow_commands_are_logged_and_abridged(pair: Pair) -> None:
    logs = []
    for client in pair.connect():
        client.ask("CONFIG", "SET", "slowlog-log-slower-than", "20000", "slowlog-max-len", "2")
        client.ask("SLOWLOG", "RESET")
        client.ask("CLIENT", "SETNAME", "me")
        for _ in range(2):
            client.ask("DEBUG", "SLEEP", "0.03")
        client.ask("MULTI")
        client.ask("DEBUG", "SLEEP", "0.03")
        client.ask("EXEC")
        entries = [line for line in client.ask("SLOWLOG", "GET", "-1").split(b"\r\n") if line[:1] not in b":$"]
        logs.append([client.ask("SLOWLOG", "LEN"), [line for line in entries if not line.startswith(b"127.")]])
        client.ask("CONFIG", "SET", "slowlog-log-slower-than", "10000", "slowlog-max-len", "128")
        client.ask("SLOWLOG", "RESET")
    assert logs[0] == logs[1]


def test_long_commands_in_the_slow_log(pair: Pair) -> None:
    logs = []
    for client in pair.connect():
        client.ask("SLOWLOG", "RESET")
        client.ask("CONFIG", "SET", "slowlog-log-slower-than", "0")
        client.ask("MSET", *(f"key{number}" for number in range(40)))
        client.ask("SET", "a", "x" * 200)
        client.ask("CONFIG", "SET", "slowlog-log-slower-than", "10000")
        lines = client.ask("SLOWLOG", "GET").split(b"\r\n")
        logs.append([line for line in lines if line.startswith((b"key", b"... (", b"xxx", b"MSET", b"SET"))])
        client.ask("SLOWLOG", "RESET")
    assert logs[0] == logs[1]


def test_no_password_is_in_the_slow_log(pair: Pair) -> None:
    logs = []
    for client in pair.connect():
        client.ask("CONFIG", "SET", "slowlog-log-slower-than", "0")
        client.ask("SLOWLOG", "RESET")
        client.ask("AUTH", "secret")
        client.ask("AUTH", "default", "secret")
        client.ask("HELLO", "2", "AUTH", "default", "secret", "SETNAME", "me")
        client.ask("CONFIG", "SET", "masterauth", "secret", "timeout", "0")
        log = client.ask("SLOWLOG", "GET")
        assert b"secret" not in log
        logs.append(log.count(b"(redacted)"))
        client.ask("CONFIG", "SET", "slowlog-log-slower-than", "10000", "masterauth", "")
    assert logs[0] == logs[1] > 0


def test_who_listens_watches_and_waits_for_what(pair: Pair) -> None:
    """Fields of Redis 7.2 and 7.4: keys count once, however many wait for them."""
    asking, one, two, three = (pair.connect()[0] for _ in range(4))
    names = ("pubsub_clients", "watching_clients", "total_watched_keys")
    names += ("total_blocking_keys", "total_blocking_keys_on_nokey")

    def counted() -> list[int]:
        found = fields(asking, "clients")
        return [int(found[name]) for name in names]

    assert counted() == [0, 0, 0, 0, 0]
    one.ask("WATCH", "a", "b")
    two.ask("WATCH", "b")
    assert counted() == [0, 2, 2, 0, 0]
    one.ask("MULTI")
    one.ask("EXEC")
    two.ask("UNWATCH")
    one.ask("SSUBSCRIBE", "c")
    asking.ask("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    two.send(b"XREADGROUP GROUP g me BLOCK 0 STREAMS s >\r\n")
    three.send(b"BLPOP t u 0\r\n")
    wait_for(lambda: counted() == [1, 0, 0, 3, 1], what="those who wait")
    two.close()
    three.close()
    one.ask("SUNSUBSCRIBE", "c")
    wait_for(lambda: counted() == [0, 0, 0, 0, 0], what="nobody waits")


def test_what_was_refused_and_who_had_to_go(pair: Pair) -> None:
    """Fields of Redis 7.2 and 7.4."""
    asking, client, greedy, slow = (pair.connect()[0] for _ in range(4))
    asking.ask("CONFIG", "RESETSTAT")
    asking.ask("ACL", "SETUSER", "bob", "on", ">pw", "~a*", "&a*", "+@all", "-incr")
    client.ask("AUTH", "bob", "wrong")
    client.ask("AUTH", "bob", "pw")
    client.ask("INCR", "a")
    client.ask("GET", "b")
    client.ask("GET", "b")
    client.ask("PUBLISH", "b", "b")
    asking.ask("CONFIG", "SET", "client-query-buffer-limit", "1mb")
    greedy.send(b"*2\r\n$3\r\nGET\r\n$2000000\r\n" + b"x" * 1_500_000)
    asking.ask("SET", "large", "x" * 100_000)
    asking.ask("CONFIG", "SET", "client-output-buffer-limit", "normal 50000 0 0")
    slow.send(b"GET large\r\n")
    wait_for(lambda: greedy.is_hung_up() and slow.is_hung_up(), what="both to be hung up on")
    asking.ask("CONFIG", "SET", "client-output-buffer-limit", "normal 0 0 0")
    asking.ask("CONFIG", "SET", "client-query-buffer-limit", "1gb")
    counted = fields(asking, "stats")
    refused = [int(counted[f"acl_access_denied_{reason}"]) for reason in ("auth", "cmd", "key", "channel")]
    assert refused == [1, 1, 2, 1]
    gone = [int(counted[f"client_{buffer}_buffer_limit_disconnections"]) for buffer in ("query", "output")]
    assert gone == [1, 1]
    asking.ask("CONFIG", "RESETSTAT")
    assert fields(asking, "stats")["acl_access_denied_key"] == "0"


def test_where_a_server_listens(start_server: Callable[..., OwnServer], tmp_path: Path) -> None:
    """As Redis 7.2 says it."""
    path = tmp_path / "socket"
    server = start_server("--bind", "127.0.0.1", "--unixsocket", str(path)).wait_ready()
    shown = fields(server.client(), "server")
    assert shown["listener0"] == f"name=tcp,bind=127.0.0.1,port={server.port}"
    assert shown["listener1"] == f"name=unix,bind={path}"


def test_what_the_backlog_holds_is_replicas_memory_only_while_there_are_some(pair: Pair) -> None:
    for client in (clients := pair.connect()):
        client.ask("CONFIG", "SET", "repl-backlog-size", "16384")
    for client, port in zip(clients, (pair.ours, pair.theirs), strict=True):
        replica = FakeReplica(port)
        # Whole blocks: more than the size that was asked for.
        client.ask_all([("SET", "k", "x" * 3000) for _ in range(20)])
        wait_for(lambda: int(fields(client, "memory")["mem_clients_slaves"]) > 0, what="its memory")  # noqa: B023
        replica.close()
        wait_for(lambda: fields(client, "memory")["mem_clients_slaves"] == "0", what="none")  # noqa: B023
        client.ask("CONFIG", "SET", "repl-backlog-size", "1mb")


def test_too_many_codes_of_errors(start_server: Callable[..., OwnServer]) -> None:
    """A script can make up as many as it likes: from 128 on they are counted, but not told apart (Redis 7.4)."""
    server = start_server().wait_ready()
    client = server.client()
    client.ask("NOSUCH")
    for number in range(127):
        client.ask("EVAL", "return redis.error_reply(ARGV[1])", "0", f"CODE{number} is made up")
    shown = fields(client, "errorstats")
    assert len(shown) == 128
    assert shown["errorstat_CODE126"] == "count=1"
    client.ask("EVAL", "return redis.error_reply('ONE too many')", "0")
    client.ask("NOSUCH")
    assert fields(client, "errorstats") == {"errorstat_ERRORSTATS_DISABLED": "count=1"}
    assert fields(client, "stats")["total_error_replies"] == "130"
    assert "Current errors code list: CODE0, CODE1, CODE10, " in server.log
    client.ask("CONFIG", "RESETSTAT")
    client.ask("NOSUCH")
    assert fields(client, "errorstats") == {"errorstat_ERR": "count=1"}
    assert server.log.count("Errorstats stopped adding new errors") == 1
