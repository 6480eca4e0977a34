"""INFO: the sections and fields of the real server, and numbers that mean something."""

from __future__ import annotations

import pytest

from tests.node.conftest import Pair
from tests.node.raw_client import RawClient
from tests.waiting import wait_for

# Ours, in the section of the server itself.
OWN_FIELDS = ["shardlab_version", "interpreter", "compiled_modules", "event_loop"]
OWN_FIELDS += ["gc_collections", "gc_usec", "gc_longest_usec"]
# Of Redis 7.4.
LATER_FIELDS = ["expired_subkeys"]
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
