"""Who has a client killed may rely on it: the other side knows before the answer comes."""

from __future__ import annotations

import contextlib
import socket

from tests.node.conftest import Pair
from tests.node.raw_client import RawClient
from tests.waiting import wait_for


def test_it_is_gone_before_the_answer(pair: Pair) -> None:
    for port in (pair.ours, pair.theirs):
        killer, victim = RawClient(port), socket.create_connection(("127.0.0.1", port), timeout=5)
        victim.sendall(b"CLIENT ID\r\n")
        id = victim.recv(100)[1:-2]
        # What runs behind it in the same transaction takes a while.
        long = [("SET", "big", "x" * 10_000_000), ("EVAL", "for i = 1, 3e6 do end", "0")]
        killer.ask_all([("MULTI",), ("CLIENT", "KILL", "ID", id), *long, ("EXEC",)])
        victim.setblocking(False)
        with contextlib.suppress(ConnectionResetError):
            assert victim.recv(100) == b""
        victim.close()
        killer.close()


def test_what_came_before_the_end_is_answered(pair: Pair) -> None:
    """CLIENT LIST, too, which lets others be heard first."""
    for port in (pair.ours, pair.theirs):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"PING\r\nCLIENT LIST\r\nPING\r\n")
            if port == pair.ours:
                # Redis may find the end together with the commands.
                client.shutdown(socket.SHUT_WR)
            told = b""
            while not told.endswith(b"\r\n+PONG\r\n"):
                told += client.recv(10_000)
            assert told.startswith(b"+PONG\r\n$")
            assert b" cmd=client|list " in told


def test_old_ones_are_killed(pair: Pair) -> None:
    """MAXAGE is Redis 7.4's; an age is counted in whole seconds, so this takes one."""
    old, _ = pair.connect()
    young, _ = pair.connect()
    for text, error in (("x", "is not an integer or out of range"), ("0", "should be greater than 0")):
        assert young.ask("CLIENT", "KILL", "MAXAGE", text) == f"-ERR maxage {error}\r\n".encode()
    assert young.ask("CLIENT", "KILL", "MAXAGE", "1000") == b":0\r\n"
    id = old.ask("CLIENT", "ID")[1:-2].decode()
    mine = young.ask("CLIENT", "ID")[1:-2].decode()

    def is_old() -> bool:
        return b" age=0 " not in young.ask("CLIENT", "LIST", "ID", id)

    wait_for(is_old, what="a client of a second's age")
    assert young.ask("CLIENT", "KILL", "MAXAGE", "1", "ID", mine, "SKIPME", "yes") == b":0\r\n"
    assert young.ask("CLIENT", "KILL", "ID", id, "MAXAGE", "1") == b":1\r\n"
    assert young.ask("CLIENT", "LIST", "ID", id) == b"$0\r\n\r\n"
