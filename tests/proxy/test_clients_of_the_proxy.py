"""Passwords, limits, and clients that behave badly."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import redis
from redis.exceptions import NoPermissionError

from tests.proxy.proxy_process import ProxyProcess
from tests.proxy.raw_client import raw_client
from tests.proxy.real_cluster import RealCluster
from tests.waiting import wait_for


def test_password_of_the_proxy(cluster: RealCluster) -> None:
    arguments = ["--nodes", cluster.seeds, "--requirepass", "secret"]
    with ProxyProcess(cluster.port + 203, arguments) as proxy, raw_client(proxy.port) as raw:
        raw.says("GET a", b"-NOAUTH Authentication required.\r\n")
        raw.says("AUTH wrong", b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")
        raw.says("AUTH secret\r\nSET a 1", b"+OK\r\n", b"+OK\r\n")
        for protocol in (2, 3):
            with proxy.client(protocol=protocol, password="secret") as client:
                assert client.get("a") == b"1"
            with proxy.client(protocol=protocol, password="no") as client, pytest.raises(redis.AuthenticationError):
                client.get("a")


@pytest.fixture
def with_passwords(cluster: RealCluster) -> Iterator[RealCluster]:
    """Every node asks for a password, and knows a user who may only read."""
    cluster.needs("ACL")
    for node in cluster.nodes:
        with node.client() as client:
            client.acl_setuser("reader", enabled=True, passwords=["+look"], keys="*", commands=["+@read", "+ping"])
            client.config_set("masterauth", "secret")
            client.config_set("requirepass", "secret")
    yield cluster
    for node in cluster.nodes:
        with node.client(password="secret") as client:
            client.config_set("requirepass", "")
            client.config_set("masterauth", "")
            client.acl_deluser("reader")


def test_credentials_are_passed_on(with_passwords: RealCluster) -> None:
    arguments = ["--nodes", with_passwords.seeds, "--password", "secret"]
    with ProxyProcess(with_passwords.port + 203, arguments) as proxy:
        # Clients who bring nothing use the proxy's own credentials; others are who they say they are.
        for protocol in (2, 3):
            with proxy.client(protocol=protocol) as client:
                assert client.set("a", 1)
            with proxy.client(protocol=protocol, username="reader", password="look") as client:
                assert client.get("a") == b"1"
                with pytest.raises(NoPermissionError):
                    client.set("a", 2)
            with (
                proxy.client(protocol=protocol, username="reader", password="wrong") as client,
                pytest.raises(redis.AuthenticationError),
            ):
                client.get("a")
        with raw_client(proxy.port) as raw:
            raw.says("SET b 1\r\nAUTH reader look\r\nSET b 2\r\nGET b\r\nRESET\r\nSET b 3", b"+OK\r\n", b"+OK\r\n")
            assert raw.read().startswith(b"-NOPERM ")
            assert [raw.read() for _ in range(3)] == [b"$1\r\n1\r\n", b"+RESET\r\n", b"+OK\r\n"]


def test_too_many_clients(cluster: RealCluster) -> None:
    with (
        ProxyProcess(cluster.port + 204, ["--nodes", cluster.seeds, "--maxclients", "2"]) as proxy,
        raw_client(proxy.port) as one,
        raw_client(proxy.port) as two,
        raw_client(proxy.port) as three,
    ):
        one.says("PING", b"+PONG\r\n")
        two.says("PING", b"+PONG\r\n")
        assert three.read() == b"-ERR max number of clients reached\r\n"
        assert three.closed()


def test_client_that_does_not_read_is_not_heard(proxy: ProxyProcess) -> None:
    """It asks for far more than it takes; the proxy stops taking its requests instead of piling replies up."""
    value = b"x" * 100_000
    with proxy.client() as watcher, socket.create_connection(("127.0.0.1", proxy.port)) as greedy:
        watcher.set("big", value)
        greedy.settimeout(0.5)
        request = b"GET big\r\n" * 100
        sent = 0
        try:
            while sent < 200_000 * len(request):
                sent += greedy.send(request)
        except TimeoutError:
            pass

        def unread() -> int:
            return max(int(line["omem"]) for line in watcher.client_list())

        # Far more was asked for than is kept: what was under way when the limit was reached, and the limit.
        assert sent // len(b"GET big\r\n") * len(value) > 1024**3
        assert unread() < 256 * 1024**2
        assert watcher.get("big") == value
        # Once it reads, everything comes, and in order.
        greedy.settimeout(10)
        reply = b"$100000\r\n" + value + b"\r\n"
        wanted = min(sent // len(b"GET big\r\n"), 500) * len(reply)
        received = 0
        while received < wanted:
            chunk = greedy.recv(1024 * 1024)
            assert chunk
            received += len(chunk)


def test_pipeline_larger_than_what_may_be_under_way(proxy: ProxyProcess) -> None:
    with proxy.client() as client:
        pipe = client.pipeline(transaction=False)
        for i in range(60):
            pipe.set(f"large:{i}", b"y" * 200_000)
            pipe.get(f"large:{i}")
        replies = pipe.execute(raise_on_error=False)
    assert [reply if reply is True else len(reply) for reply in replies] == [True, 200_000] * 60


def test_client_kill_and_list(proxy: ProxyProcess) -> None:
    with proxy.client() as client, raw_client(proxy.port) as victim:
        victim.says("CLIENT SETNAME victim", b"+OK\r\n")
        victim.says("SET a 1", b"+OK\r\n")
        line = next(line for line in client.client_list() if line["name"] == "victim")
        assert line["cmd"] == "set"
        assert client.client_kill_filter(_id=line["id"]) == 1
        assert victim.closed()
        wait_for(lambda: all(line["name"] != "victim" for line in client.client_list()), what="the client is gone")


def test_no_questions_in_a_storm(proxy: ProxyProcess, cluster: RealCluster) -> None:
    """Hundreds of clients that meet MOVED at once make few readings of the slot map."""
    with proxy.client() as client:
        before = client.info()["proxy_slot_map_readings"]
        source = cluster.owner("b")
        replica = next(node for node in cluster.nodes if node.role() == "slave" and of(node) == source.port)
        with replica.client() as direct:
            direct.execute_command("CLUSTER", "FAILOVER")
        pipe = client.pipeline(transaction=False)
        wait_for(lambda: replica.role() == "master", what="the failover")
        for i in range(500):
            pipe.incr(f"{{b}}{i}")
        assert pipe.execute() == [1] * 500
        assert client.info()["proxy_slot_map_readings"] - before <= 10
    cluster.wait_healthy()


def of(replica: object) -> int:
    """The port of a replica's master."""
    with replica.client() as client:  # type: ignore[attr-defined]
        return int(client.info("replication")["master_port"])
