"""Clients that wait for each reply: their commands take a road of their own, and nobody but the clock may notice."""

from __future__ import annotations

from tests.node.conftest import Pair
from tests.node.fake_replica import FakeReplica
from tests.node.test_info import fields

# More than come before a shape is known, and before a command that is brief is not timed any more.
MANY = 200


def test_all_are_counted_though_not_all_are_timed(pair: Pair) -> None:
    for client in pair.connect():
        client.ask("CONFIG", "RESETSTAT")
        before = fields(client, "stats")
        for _ in range(MANY):
            assert client.ask("PING") == b"+PONG\r\n"
        after = fields(client, "stats")
        assert int(after["total_commands_processed"]) - int(before["total_commands_processed"]) == MANY + 1
        grown = int(after["total_net_output_bytes"]) - int(before["total_net_output_bytes"])
        assert grown >= MANY * len("+PONG\r\n")
        assert int(after["total_net_input_bytes"]) - int(before["total_net_input_bytes"]) >= MANY * 14
        line = fields(client, "commandstats")["cmdstat_ping"]
        stats = dict(field.split("=") for field in line.split(","))
        assert stats["calls"] == str(MANY)
        assert float(stats["usec_per_call"]) > 0.0
        assert abs(int(stats["usec"]) / MANY - float(stats["usec_per_call"])) < 0.02
        histogram = client.ask("LATENCY", "HISTOGRAM", "ping")
        assert b"\r\n:%d\r\n" % MANY in histogram


def test_events_are_published_from_when_they_are_wanted(pair: Pair) -> None:
    told = []
    for client, listener in zip(pair.connect(), pair.connect(), strict=True):
        listener.ask("PSUBSCRIBE", "__keyevent*")
        got = []
        for number in range(MANY):
            wanted = number >= MANY // 2
            if number == MANY // 2:
                client.ask("CONFIG", "SET", "notify-keyspace-events", "EA")
            for words in (
                ("LPUSH", "list", f"{number:04}"),
                ("SADD", "set", f"{number:04}"),
                ("HSET", "hash", f"{number:04}", "1"),
                ("RPUSH", "list", f"{number:04}"),
            ):
                got.append(client.ask(*words))
                if wanted:
                    got.append(listener.read_reply())
        client.ask("CONFIG", "SET", "notify-keyspace-events", "")
        client.ask("LPUSH", "list", "last")
        assert not listener.has_reply()
        told.append(got)
    ours, theirs = told
    assert ours == theirs


def test_a_write_behind_one_that_found_nothing_is_passed_on(pair: Pair, replica: FakeReplica) -> None:
    """XREADGROUP says itself how it is to be repeated, and here there is nothing of it to repeat."""
    ours, _ = pair.connect()
    ours.ask("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")
    read = ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s")
    ours.ask(*read, ">")
    ours.ask_all([(*read, ">"), ("SET", "one", "1"), (*read, "x"), ("SET", "two", "2"), ("SET", "the", "end")])
    told = replica.read_until(b"end")
    assert [words[1] for words in told if words[0] == b"SET"] == [b"one", b"two", b"the"]
