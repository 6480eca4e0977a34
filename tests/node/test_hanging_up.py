"""Who has a client killed may rely on it: the other side knows before the answer comes."""

from __future__ import annotations

import contextlib
import socket

from tests.node.conftest import Pair
from tests.node.raw_client import RawClient


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
