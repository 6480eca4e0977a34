"""Who is kept out, and who is cut off: passwords, `maxclients`, `protected-mode`, `timeout`, output buffers."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.node.conftest import Pair
from tests.node.own_server import OwnServer
from tests.node.raw_client import RawClient
from tests.waiting import wait_for
from wire.encoder import encode_command

Start = Callable[..., OwnServer]


@pytest.fixture
def locked(pair: Pair) -> Iterator[Pair]:
    """Both servers, with a password."""
    admins = pair.connect()
    for admin in admins:
        assert admin.ask("CONFIG", "SET", "requirepass", "secret") == b"+OK\r\n"
    yield pair
    for admin in admins:
        assert admin.ask("CONFIG", "SET", "requirepass", "") == b"+OK\r\n"


def test_the_door(locked: Pair) -> None:
    script: list[tuple[str, ...]] = [
        ("PING",),
        ("CLIENT", "ID"),
        ("ECHO", "a"),
        ("NOSUCH",),
        ("GET",),
        ("HELLO",),
        ("HELLO", "3"),
        ("HELLO", "4"),
        ("AUTH", "wrong"),
        ("AUTH", "default", "wrong"),
        ("HELLO", "2", "AUTH", "default", "wrong"),
        ("RESET",),
        ("AUTH", "default", "secret"),
        ("ECHO", "a"),
        ("RESET",),
        ("ECHO", "a"),
        ("HELLO", "2", "AUTH", "default", "secret", "SETNAME", "me"),
        ("CLIENT", "GETNAME"),
        ("AUTH", "secret"),
    ]
    ours, theirs = locked.connect()
    for words in script:
        answers = [client.ask(*words) for client in (ours, theirs)]
        if answers[0].startswith(b"*14"):
            # HELLO carries the client's id.
            answers = [answer.partition(b"$2\r\nid\r\n")[0] for answer in answers]
        assert (words, answers[0]) == (words, answers[1])


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"*11\r\n" + b"$1\r\na\r\n" * 11,
        b"*2\r\n$4\r\nAUTH\r\n$16385\r\n",
        b"*10\r\n" + b"$1\r\na\r\n" * 10 + b"*11\r\n",
    ],
    ids=["arguments", "length", "second command"],
)
def test_strangers_may_send_small_requests_only(request_bytes: bytes, locked: Pair) -> None:
    answers = []
    for port in (locked.ours, locked.theirs):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(request_bytes)
            answer = b""
            while piece := client.recv(1000):
                answer += piece
            answers.append(answer)
    assert answers[0] == answers[1]


def test_after_the_password_requests_may_be_large(locked: Pair) -> None:
    client, _ = locked.connect()
    client.ask("AUTH", "secret")
    assert client.ask("SET", "a", "x" * 20_000) == b"+OK\r\n"
    assert client.ask("DEL", *"abcdefghijkl") == b":1\r\n"


def test_maxclients(pair: Pair) -> None:
    answers = []
    for client in pair.connect():
        client.ask("CONFIG", "SET", "maxclients", "1")
        with socket.create_connection(
            ("127.0.0.1", pair.ours if len(answers) == 0 else pair.theirs), timeout=10
        ) as late:
            answers.append((late.recv(100), late.recv(100)))
        client.ask("CONFIG", "SET", "maxclients", "10000")
    assert answers[0] == answers[1] == (b"-ERR max number of clients reached\r\n", b"")


def test_protected_mode_turns_other_machines_away(start_server: Start) -> None:
    address = _own_address()
    server = start_server("--bind", "*").wait_ready()
    with socket.create_connection((address, server.port), timeout=10) as stranger:
        assert stranger.recv(100).startswith(b"-DENIED Redis is running in protected mode because")
    local = server.client()
    assert local.ask("CONFIG", "SET", "protected-mode", "no") == b"+OK\r\n"
    with socket.create_connection((address, server.port), timeout=10) as stranger:
        stranger.sendall(b"PING\r\n")
        assert stranger.recv(100) == b"+PONG\r\n"
    # With a password there is no need for protection.
    local.ask("CONFIG", "SET", "protected-mode", "yes", "requirepass", "secret")
    with socket.create_connection((address, server.port), timeout=10) as stranger:
        stranger.sendall(b"PING\r\n")
        assert stranger.recv(100) == b"-NOAUTH Authentication required.\r\n"


def test_protection_looks_at_the_default_user_and_not_at_requirepass(start_server: Start) -> None:
    address = _own_address()
    server = start_server("--bind", "*", *["--user", "default", "on", ">secret", "~*", "&*", "+@all"]).wait_ready()
    with socket.create_connection((address, server.port), timeout=10) as stranger:
        stranger.sendall(b"PING\r\n")
        assert stranger.recv(100) == b"-NOAUTH Authentication required.\r\n"
        local = server.client()
        assert local.ask("AUTH", "secret") == b"+OK\r\n"
        assert local.ask("ACL", "SETUSER", "default", "nopass") == b"+OK\r\n"
    with socket.create_connection((address, server.port), timeout=10) as stranger:
        assert stranger.recv(100).startswith(b"-DENIED Redis is running in protected mode because")


def _own_address() -> str:
    """An address of this machine that is not the loopback's; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no network")
        address: str = probe.getsockname()[0]
    return address


def test_idle_clients_are_let_go(pair: Pair) -> None:
    """A real second passes: the shortest `timeout` there is."""
    admin, _ = pair.connect()
    idle, subscriber = RawClient(pair.ours), RawClient(pair.ours)
    idle.ask("PING")
    subscriber.ask("SUBSCRIBE", "a")
    admin.ask("CONFIG", "SET", "timeout", "1")

    def listed() -> int:
        return admin.ask("CLIENT", "LIST").count(b"\nid=")

    # The admin, who keeps asking, and the subscriber, who is silent for a good reason.
    wait_for(lambda: listed() == 2, what="the idle client's end")
    assert admin.ask("PUBLISH", "a", "x") == b":1\r\n"
    admin.ask("CONFIG", "SET", "timeout", "0")
    for client in (idle, subscriber):
        client.close()


def test_a_subscriber_that_does_not_read_is_cut_off(pair: Pair) -> None:
    admin, _ = pair.connect()
    admin.ask("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0")
    subscriber = RawClient(pair.ours)
    subscriber.ask("SUBSCRIBE", "a")
    message = "x" * 100_000
    sent = 0
    while admin.ask("PUBLISH", "a", message) == b":1\r\n":
        sent += 1
        # What the kernel buffers comes on top of the limit.
        assert sent < 500, "the subscriber was never cut off"
    assert sent > 5
    admin.ask("CONFIG", "SET", "client-output-buffer-limit", "pubsub 32mb 8mb 60")
    subscriber.close()


def test_a_soft_limit_ends_by_time_alone(pair: Pair) -> None:
    """A real second passes. Nothing more is written to the client when its time is up."""
    admin, _ = pair.connect()
    admin.ask("SET", "big", "x" * 20_000_000)
    admin.ask("CONFIG", "SET", "client-output-buffer-limit", "normal 0 1mb 1")
    greedy = RawClient(pair.ours)
    greedy.send(b"GET big\r\n")
    wait_for(lambda: b" cmd=get " in admin.ask("CLIENT", "LIST"), what="the reply that waits")
    wait_for(lambda: b" cmd=get " not in admin.ask("CLIENT", "LIST"), what="the end of the client that does not read")
    admin.ask("CONFIG", "SET", "client-output-buffer-limit", "normal 0 0 0")
    greedy.close()


def test_the_query_buffer_of_clients_that_are_connected(pair: Pair) -> None:
    for admin, port in zip(pair.connect(), (pair.ours, pair.theirs), strict=True):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"PING\r\n")
            assert client.recv(100) == b"+PONG\r\n"
            admin.ask("CONFIG", "SET", "client-query-buffer-limit", "1mb")
            client.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$10000000\r\n")
            with contextlib.suppress(OSError):
                client.sendall(b"x" * 3_000_000)
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(100) == b""
        admin.ask("CONFIG", "SET", "client-query-buffer-limit", "1gb")


def test_a_client_that_never_reads_does_not_stop_the_others(pair: Pair) -> None:
    admin, _ = pair.connect()
    admin.ask("SET", "big", "x" * 1_000_000)
    greedy = RawClient(pair.ours)
    greedy.send(encode_command([b"GET", b"big"]) * 50)
    assert admin.ask("PING") == b"+PONG\r\n"
    greedy.close()
    assert admin.ask("PING") == b"+PONG\r\n"


def test_values_longer_than_allowed_are_refused(pair: Pair) -> None:
    answers = []
    for admin, port in zip(pair.connect(), (pair.ours, pair.theirs), strict=True):
        admin.ask("CONFIG", "SET", "proto-max-bulk-len", "1mb")
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"*2\r\n$4\r\nECHO\r\n$1048577\r\n")
            answers.append((client.recv(100), client.recv(100)))
        admin.ask("CONFIG", "SET", "proto-max-bulk-len", "512mb")
    assert answers[0] == answers[1] == (b"-ERR Protocol error: invalid bulk length\r\n", b"")
