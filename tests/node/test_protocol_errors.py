"""What breaks the protocol, byte for byte as the real server answers it, and that the connection ends there."""

from __future__ import annotations

import socket
import struct

import pytest

from tests.node.conftest import Pair

PING = b"*1\r\n$4\r\nPING\r\n"

BROKEN = [
    b"*abc\r\n",
    b"*2147483648\r\n",
    b"*99999999999999999999\r\n",
    b"*+1\r\n$4\r\nPING\r\n",
    b"*1\r\nPING\r\n",
    b"*1\r\n:4\r\n",
    b"*2\r\n$3\r\nGET\r\n*1\r\n",
    b"*1\r\n$abc\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$536870913\r\n",
    b"get 'a\r\n",
    b'get "a"b\r\n',
    b'set a "\\x4\r\n',
    b"x" * 70_000,
    b"*" + b"1" * 70_000,
    b"*1\r\n$" + b"1" * 70_000,
    b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"*2\r\n$5\r\nHost:\r\n$1\r\nx\r\n",
    # What was right before the mistake is still answered.
    PING + PING + b"*1\r\nPING\r\n" + PING,
    PING + b"QUIT\r\n" + PING,
    # And nothing comes behind a farewell.
    PING + b"QUIT\r\n*1\r\n$-1\r\n",
    # No line ends behind a NUL.
    PING + b"\0" + b"x\r\n" * 30_000,
    PING + b"*1\0" + b"\r\n" * 40_000,
    PING + b"*1\r\n\0" + b"\r\n" * 40_000,
    PING + b"*1\r\n" + b"x" * 70_000,
]

FINE = [
    b"*0\r\n" + PING,
    b"*-1\r\n" + PING,
    b"*-10\r\n" + PING,
    b"\r\n\r\n  \r\n" + PING,
    b"*1\r\n$4\r\nPINGxx" + PING,
    b"*1\rx$4\rxPING\r\n" + PING,
    b"ping\n" + PING,
    b"  echo   'a b'  \r\n" + PING,
    b'echo "\\x41\\n\\r\\t\\b\\a\\"\\\\\\q"\r\n',
    b"echo '\\'\\n'\r\n",
    b'echo ""\r\n',
    b'echo a"b"\r\n',
    b"nosuch a b c\r\n",
    b"nosuch " + b"x" * 300 + b" y\r\n",
    b"NO" + b"S" * 200 + b"UCH\r\n",
    b"nosuch " + b" ".join(b"%d" % number for number in range(80)) + b"\r\n",
    b"*2\r\n$6\r\nnosuch\r\n$4\r\na\r\nb\r\n",
    b"get\r\nget a b\r\nset a\r\nconfig\r\nconfig nosuch\r\nconfig get\r\n",
]


def everything(port: int, data: bytes, *, then_closed: bool) -> bytes:
    """All that the server answers to `data`, up to its end or up to the answer to a last ECHO."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        try:
            client.sendall(data if then_closed else data + b"*2\r\n$4\r\nECHO\r\n$3\r\nend\r\n")
        except (BrokenPipeError, ConnectionResetError):
            assert then_closed
        received = b""
        while then_closed or not received.endswith(b"$3\r\nend\r\n"):
            try:
                piece = client.recv(65536)
            except ConnectionResetError:
                # It hung up with bytes of ours unread.
                break
            if not piece:
                break
            received += piece
        return received


@pytest.mark.parametrize("data", BROKEN, ids=lambda data: repr(data[:30]))
def test_broken(data: bytes, pair: Pair) -> None:
    ours = everything(pair.ours, data, then_closed=True)
    assert ours == everything(pair.theirs, data, then_closed=True)


@pytest.mark.parametrize("data", FINE, ids=lambda data: repr(data[:30]))
def test_odd_but_fine(data: bytes, pair: Pair) -> None:
    ours = everything(pair.ours, data, then_closed=False)
    assert ours.endswith(b"$3\r\nend\r\n")
    assert ours == everything(pair.theirs, data, then_closed=False)


def test_a_client_that_vanishes_mid_command_harms_nobody(pair: Pair) -> None:
    for how in ("close", "reset"):
        client = socket.create_connection(("127.0.0.1", pair.ours))
        client.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100\r\nhalf")
        if how == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    ours, _ = pair.connect()
    assert ours.ask("EXISTS", "a") == b":0\r\n"


def test_a_half_closed_client_still_gets_its_answers(pair: Pair) -> None:
    for port in (pair.ours, pair.theirs):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"*2\r\n$4\r\nECHO\r\n$3\r\nend\r\n")
            client.shutdown(socket.SHUT_WR)
            assert client.recv(100) == b"$3\r\nend\r\n"
            assert client.recv(100) == b""


def test_a_slow_client_may_send_byte_by_byte(pair: Pair) -> None:
    with socket.create_connection(("127.0.0.1", pair.ours), timeout=10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"*2\r\n$4\r\nECHO\r\n$3\r\nend\r\n":
            client.sendall(bytes((byte,)))
        assert client.recv(100) == b"$3\r\nend\r\n"


def test_a_huge_pipeline_and_a_huge_value(pair: Pair) -> None:
    ours, _ = pair.connect()
    value = b"\r\n$5\r\n" * 2_000_000
    assert ours.ask("SET", "big", value) == b"+OK\r\n"
    assert ours.ask("GET", "big") == b"$%d\r\n%b\r\n" % (len(value), value)
    replies = ours.ask_all([("PING",)] * 20_000)
    assert replies == [b"+PONG\r\n"] * 20_000


@pytest.mark.parametrize("how", [b"OFF", b"SKIP"])
def test_who_wants_no_reply_is_told_nothing(pair: Pair, how: bytes) -> None:
    """And is hung up on; a real server keeps the connection, and reads nothing more from it."""
    data = b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$%d\r\n%b\r\n*1\r\n:4\r\n" % (len(how), how)
    assert everything(pair.ours, data, then_closed=True) == b""
