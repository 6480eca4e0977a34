"""Who deletes what has expired where a master's word will not come: on a replica that its own clients write to."""

from __future__ import annotations

import pytest

from tests.node.conftest import Pair
from tests.node.raw_client import Words
from tests.ports import free_base
from tests.waiting import wait_for


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([("SET", "k", "v", "PX", "20")], id="set"),
        pytest.param([("RPUSH", "k", "v"), ("PEXPIRE", "k", "20")], id="expire"),
        pytest.param(
            [("SELECT", "3"), ("SET", "k", "v"), ("PEXPIRE", "k", "1000"), ("PEXPIRE", "k", "20")], id="twice"
        ),
        pytest.param([("SET", "k", "v", "PX", "20"), ("RENAME", "k", "l")], id="renamed"),
        pytest.param([("SET", "k", "v", "PX", "20"), ("COPY", "k", "l", "DB", "1")], id="copied"),
    ],
)
def test_a_replica_deletes_what_its_own_clients_let_expire(pair: Pair, steps: list[Words]) -> None:
    nowhere = str(free_base())
    for client in pair.connect():
        client.ask("CONFIG", "SET", "replica-read-only", "no")
        client.ask("REPLICAOF", "127.0.0.1", nowhere)
        try:
            client.ask_all(steps)
            client.ask("DEBUG", "SET-ACTIVE-EXPIRE", "1")
            # All of them, those of other databases, too.
            wait_for(lambda client=client: b"keys=" not in client.ask("INFO", "keyspace"), what="the keys' deletion")
        finally:
            client.ask("DEBUG", "SET-ACTIVE-EXPIRE", "0")
            client.ask("REPLICAOF", "NO", "ONE")
            client.ask("CONFIG", "SET", "replica-read-only", "yes")


def test_what_its_master_let_expire_it_only_hides(pair: Pair) -> None:
    nowhere = str(free_base())
    for client in pair.connect():
        client.ask("SET", "k", "v", "PX", "50")
        client.ask("REPLICAOF", "127.0.0.1", nowhere)
        try:
            client.ask("CONFIG", "SET", "replica-read-only", "no")
            client.ask("DEBUG", "SET-ACTIVE-EXPIRE", "1")
            client.ask("SET", "timer", "v", "PX", "100")
            wait_for(lambda client=client: client.ask("DBSIZE") == b":1\r\n", what="the replica's own key's deletion")
            assert client.ask("GET", "k") == b"$-1\r\n"
            assert client.ask("DBSIZE") == b":1\r\n"
        finally:
            client.ask("DEBUG", "SET-ACTIVE-EXPIRE", "0")
            client.ask("REPLICAOF", "NO", "ONE")
            client.ask("CONFIG", "SET", "replica-read-only", "yes")
