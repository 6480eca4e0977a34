"""SHUTDOWN gives lagging replicas time to catch up, can be called off meanwhile, and does not wait for ever."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

from tests.node.own_server import OwnServer
from tests.node.raw_client import RawClient
from tests.waiting import wait_for
from wire.encoder import encode_command

Start = Callable[..., OwnServer]


def pair_in_sync(start_server: Start, *options: str) -> tuple[OwnServer, OwnServer, RawClient, RawClient]:
    """A master and its replica, and a client of each."""
    master = start_server("--save", "", "--repl-diskless-sync-delay", "0", *options).wait_ready()
    following = ("--save", "", "--replicaof", "127.0.0.1", str(master.port))
    replica = start_server(*following, folder="replica").wait_ready()
    ours, theirs = master.client(), replica.client()
    ours.ask("SET", "first", "1")
    wait_for(lambda: theirs.ask("GET", "first") == b"$1\r\n1\r\n", what="the replica's copy")
    return master, replica, ours, theirs


def behind(client: RawClient) -> None:
    """Return once the master knows that its replica is behind: it has written what the replica has not confirmed."""
    client.ask("SET", "last", "1")


def test_it_waits_and_the_replica_gets_everything(start_server: Start) -> None:
    master, replica, ours, theirs = pair_in_sync(start_server, "--shutdown-timeout", "60")
    replica.process.send_signal(signal.SIGSTOP)
    behind(ours)
    ours.send(encode_command([b"SHUTDOWN"]))
    wait_for(lambda: "Waiting for replicas before shutting down." in master.log, what="the master's waiting")
    assert master.process.poll() is None
    left = re.search(rb"shutdown_in_milliseconds:(\d+)\r\n", master.client().ask("INFO", "server"))
    assert left is not None
    assert 0 < int(left[1]) <= 60_000
    replica.process.send_signal(signal.SIGCONT)
    assert master.wait_end() == 0
    assert "* 1 of 1 replicas are in sync when shutting down.\n" in master.log
    assert "Lagging" not in master.log
    assert theirs.ask("GET", "last") == b"$1\r\n1\r\n"


def test_it_can_be_called_off(start_server: Start) -> None:
    master, replica, ours, _ = pair_in_sync(start_server, "--shutdown-timeout", "60")
    replica.process.send_signal(signal.SIGSTOP)
    behind(ours)
    ours.send(encode_command([b"SHUTDOWN"]))
    wait_for(lambda: "Waiting for replicas before shutting down." in master.log, what="the master's waiting")
    writer = master.client()
    writer.send(encode_command([b"SET", b"later", b"1"]))
    other = master.client()
    assert other.ask("EXISTS", "later") == b":0\r\n"
    assert other.ask("SHUTDOWN", "ABORT") == b"+OK\r\n"
    assert ours.read_reply() == b"-ERR Errors trying to SHUTDOWN. Check logs.\r\n"
    assert writer.read_reply() == b"+OK\r\n"
    assert b"shutdown_in_milliseconds" not in other.ask("INFO", "server")
    # Whoever cannot wait says so.
    other.send(encode_command([b"SHUTDOWN", b"NOW"]))
    assert master.wait_end() == 0
    replica.process.send_signal(signal.SIGCONT)


def test_it_does_not_wait_for_ever(start_server: Start) -> None:
    master, replica, ours, _ = pair_in_sync(start_server, "--shutdown-timeout", "1")
    replica.process.send_signal(signal.SIGSTOP)
    behind(ours)
    master.process.terminate()
    assert master.wait_end() == 0
    assert re.search(r"# Lagging replica \S+ reported offset \d+ behind master, lag=\d+, state=online\.\n", master.log)
    assert "* 0 of 1 replicas are in sync when shutting down.\n" in master.log
    replica.process.send_signal(signal.SIGCONT)


def test_a_signal_can_be_called_off_before_the_clockwork_comes_to_it(start_server: Start) -> None:
    server = start_server("--save", "", "--enable-debug-command", "yes").wait_ready()
    client = server.client()
    assert client.ask("SHUTDOWN", "ABORT") == b"-ERR No shutdown in progress.\r\n"
    assert client.ask("DEBUG", "PAUSE-CRON", "1") == b"+OK\r\n"
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: "scheduling shutdown" in server.log, what="the signal")
    assert client.ask("SHUTDOWN", "ABORT") == b"+OK\r\n"
    assert client.ask("DEBUG", "PAUSE-CRON", "0") == b"+OK\r\n"
    assert client.ask("SHUTDOWN", "ABORT") == b"-ERR No shutdown in progress.\r\n"
    server.process.send_signal(signal.SIGTERM)
    assert server.wait_end() == 0
