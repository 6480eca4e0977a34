"""What replicas are told, beside a real redis-server: deletions of keys that are found expired, when and as Redis does.

Time passes by PEXPIRE and DEBUG SLEEP; the two servers expire nothing by a timer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.node.conftest import Pair
from tests.node.differential import Replicas
from tests.node.fake_replica import FakeReplica
from tests.node.own_server import OwnServer
from tests.node.raw_client import RawClient, Words, bulk_strings
from tests.waiting import wait_for


def _told(pair: Pair, replicas: Replicas, commands: Sequence[Words]) -> list[list[list[bytes]]]:
    """Run the commands on both servers; what the replica of each was told, but for SELECT and what bears a time."""
    told = []
    for client, replica in zip(pair.connect(), replicas, strict=True):
        for words in (*commands, ("PUBLISH", "end", "the end")):
            client.ask(*words)
        stream = replica.read_until(b"the end")[:-1]
        told.append([words for words in stream if words[0] not in (b"SELECT", b"SET", b"PEXPIREAT")])
    return told


@pytest.mark.parametrize("walk", [("SCAN", "0", "COUNT", "100"), ("RANDOMKEY",), ("KEYS", "*")])
def test_keys_met_on_a_walk_are_deleted(pair: Pair, replicas: Replicas, walk: Words) -> None:
    commands = [("SET", f"key:{number}", "value", "PX", "1") for number in range(5)]
    ours, theirs = _told(pair, replicas, [*commands, ("DEBUG", "SLEEP", "0.01"), walk])
    # Sorted, for a walk has its own order; whether it is a transaction shows all the same.
    assert sorted(ours) == sorted(theirs)
    assert (ours.count([b"FLUSHALL"]) < len(ours)) is (walk[0] != "KEYS")


def test_a_transaction_that_outlives_its_gift_serves_nobody(pair: Pair, replicas: Replicas) -> None:
    waiting = pair.connect()
    for client in waiting:
        client.send(b"BLPOP list 0\r\n")
    for client in pair.connect():
        wait_for(lambda client=client: _blocked(client) == 1, what="the client to block")
    ours, theirs = _told(
        pair,
        replicas,
        [
            ("MULTI",),
            ("RPUSH", "list", "element"),
            ("PEXPIRE", "list", "10"),
            ("DEBUG", "SLEEP", "0.02"),
            ("EXEC",),
        ],
    )
    assert ours == theirs
    assert ours[-1] == [b"DEL", b"list"]
    assert not any(client.has_reply() for client in waiting)


def _blocked(client: RawClient) -> int:
    return client.ask("CLIENT", "LIST").count(b"flags=b")


def test_who_comes_by_sync_reads_what_is_written_and_nothing_before(start_server: Callable[..., OwnServer]) -> None:
    server = start_server().wait_ready()
    replica = FakeReplica(server.port, old=True)
    server.client().ask("SET", "key", "value")
    assert bulk_strings(replica.read_reply()) == [b"SELECT", b"0"]
    assert bulk_strings(replica.read_reply()) == [b"SET", b"key", b"value"]
    replica.close()
