"""What ends the wait of a blocked client besides a key: time, other clients, its own end, a new part for its node."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from cluster.slots import key_slot
from tests.node.conftest import Pair
from tests.node.own_server import OwnServer
from tests.node.raw_client import RawClient
from tests.waiting import wait_for

Start = Callable[..., OwnServer]
_BLOCKING = (
    "BLPOP no {0}",
    "BRPOP no nor {0}",
    "BLMOVE no to LEFT RIGHT {0}",
    "BRPOPLPUSH no to {0}",
    "BLMPOP {0} 1 no LEFT",
)


def _blocked(client: RawClient) -> int:
    info = client.ask("INFO", "clients")
    return int(info.split(b"blocked_clients:")[1].split(b"\r\n")[0])


def _wait_blocked(client: RawClient, count: int) -> None:
    wait_for(lambda: _blocked(client) == count, what=f"{count} blocked clients")


def _block(actor: RawClient, waiter: RawClient, line: str) -> None:
    """Have the only waiter block."""
    waiter.send(line.encode() + b"\r\n")
    _wait_blocked(actor, 1)


@pytest.mark.parametrize("proto", ["2", "3"])
def test_a_timeout_is_the_null_of_a_real_server(pair: Pair, proto: str) -> None:
    clients = [pair.connect() for _ in _BLOCKING]
    for both, line in zip(clients, _BLOCKING, strict=True):
        for client in both:
            client.ask("HELLO", proto)
            client.send(line.format("0.02").encode() + b"\r\n")
    assert [both[0].read_reply() for both in clients] == [both[1].read_reply() for both in clients]


@pytest.mark.parametrize("waiting", ["XREAD BLOCK 5 STREAMS no $", "BLPOP no 0.005", "WAIT 1 5", "CLIENT PAUSE 5"])
def test_nobody_is_sent_away_early(start_server: Start, waiting: str) -> None:
    client = start_server().wait_ready().client()
    shortest = 1.0
    for _ in range(60):
        begun_at = time.perf_counter()
        client.ask(*waiting.split())
        # What ends a pause is what it held back.
        client.ask("PING")
        shortest = min(shortest, time.perf_counter() - begun_at)
    assert shortest >= 0.005


@pytest.mark.parametrize("proto", ["2", "3"])
def test_a_transaction_does_not_wait(pair: Pair, proto: str) -> None:
    replies = []
    for client in pair.connect():
        client.ask("HELLO", proto)
        client.ask("MULTI")
        client.ask("RPUSH", "list", "1", "2", "3", "4", "5", "6")
        for line in _BLOCKING:
            client.ask(*line.format("0").split())
            client.ask(*line.replace("no", "list").format("0").split())
        replies.append(client.ask("EXEC"))
    assert replies[0] == replies[1]


def test_a_blocked_client_is_shown_and_can_be_unblocked(pair: Pair) -> None:
    told = []
    for at in (0, 1):
        actor, waiter = pair.connect()[at], pair.connect()[at]
        number = waiter.ask("CLIENT", "ID")[1:-2]
        for how in ("TIMEOUT", "ERROR"):
            _block(actor, waiter, "BLPOP list 0")
            line = actor.ask("CLIENT", "LIST", "ID", number)
            assert b" flags=b " in line
            assert b" cmd=blpop " in line
            assert actor.ask("CLIENT", "UNBLOCK", number, how) == b":1\r\n"
            told.append(waiter.read_reply())
            assert actor.ask("CLIENT", "UNBLOCK", number, how) == b":0\r\n"
    assert told[:2] == told[2:] == [b"*-1\r\n", b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"]


@pytest.mark.parametrize("end", ["close", "say no more", "killed"])
def test_who_has_gone_takes_nothing_away(pair: Pair, end: str) -> None:
    for at in (0, 1):
        actor, waiter = pair.connect()[at], pair.connect()[at]
        number = waiter.ask("CLIENT", "ID")[1:-2]
        _block(actor, waiter, "BLPOP list 0")
        if end == "close":
            waiter.close()
        elif end == "say no more":
            waiter.say_no_more()
        else:
            assert actor.ask("CLIENT", "KILL", "ID", number) == b":1\r\n"
        _wait_blocked(actor, 0)
        assert actor.ask("RPUSH", "list", "1") == b":1\r\n"
        assert actor.ask("LLEN", "list") == b":1\r\n"


def test_reply_off_and_skip_hold_for_the_blocked_command(pair: Pair) -> None:
    for at in (0, 1):
        actor, waiter = pair.connect()[at], pair.connect()[at]
        waiter.send(b"CLIENT REPLY SKIP\r\n")
        _block(actor, waiter, "BLPOP list 0")
        actor.ask("RPUSH", "list", "1")
        assert waiter.ask("PING") == b"+PONG\r\n"
        waiter.send(b"CLIENT REPLY OFF\r\n")
        _block(actor, waiter, "BLPOP list 0")
        actor.ask("RPUSH", "list", "1")
        assert waiter.ask("CLIENT", "REPLY", "ON") == b"+OK\r\n"


def test_a_pause_holds_back_the_push_and_so_the_pop(pair: Pair) -> None:
    for at in (0, 1):
        actor, waiter, pusher = (pair.connect()[at] for _ in range(3))
        _block(actor, waiter, "BLPOP list 0")
        actor.ask("CLIENT", "PAUSE", "100000", "WRITE")
        pusher.send(b"RPUSH list 1\r\n")
        _wait_blocked(actor, 2)
        assert not waiter.has_reply()
        actor.ask("CLIENT", "UNPAUSE")
        assert pusher.read_reply() == b":1\r\n"
        assert waiter.read_reply() == b"*2\r\n$4\r\nlist\r\n$1\r\n1\r\n"


def test_a_new_replica_sends_its_blocked_clients_away(start_server: Start) -> None:
    server = start_server().wait_ready()
    actor, waiter = server.client(), server.client()
    _block(actor, waiter, "BLPOP list 0")
    assert actor.ask("REPLICAOF", "127.0.0.1", "1") == b"+OK\r\n"
    words = b"-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n"
    assert waiter.read_reply() == words
    wait_for(waiter.is_hung_up, what="the end of the connection")


def test_a_lost_slot_sends_those_who_wait_for_its_keys_away(start_server: Start) -> None:
    server = start_server("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no").wait_ready()
    actor, waiter, other = server.client(), server.client(), server.client()
    actor.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    wait_for(lambda: b"cluster_state:ok" in actor.ask("CLUSTER", "INFO"), what="the cluster")
    _block(actor, waiter, "BLPOP list 0")
    other.send(b"BLPOP {list}2 list 0\r\n")
    _wait_blocked(actor, 2)
    actor.ask("CLUSTER", "DELSLOTS", str(key_slot(b"other")))
    assert _blocked(actor) == 2
    actor.ask("CLUSTER", "DELSLOTS", str(key_slot(b"list")))
    for client in (waiter, other):
        assert client.read_reply() == b"-CLUSTERDOWN Hash slot not served\r\n"
