"""Replication over TLS with a real redis-server, in both roles, and what happens to a replica that is not believed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from lab.authority import Certificates, certificates
from tests.interop.real_nodes import OURS, REDIS, needs_redis
from tests.ports import free_base
from tests.waiting import wait_for

pytestmark = needs_redis


class Server:
    """One process that speaks nothing but TLS."""

    def __init__(self, program: tuple[str, ...], folder: Path, port: int, certs: Certificates, *options: str) -> None:
        self.port = port
        self.folder = folder
        folder.mkdir()
        words = [*program, "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--save", ""]
        words += ["--dir", str(folder), "--logfile", str(folder / "log"), "--tls-replication", "yes"]
        words += ["--repl-diskless-sync-delay", "0", *options]
        words += [word for line in certs.directives() for word in f"--{line}".split()]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.client = redis.Redis(
            port=port, ssl=True, ssl_ca_certs=certs.ca_cert, ssl_certfile=certs.cert, ssl_keyfile=certs.key
        )
        wait_for(self._answers, what="PONG over TLS")

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False

    def link_up(self) -> bool:
        return self.client.info("replication")["master_link_status"] == "up"

    def close(self) -> None:
        self.client.close()
        self._process.kill()
        self._process.wait()


Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path, authority: Certificates) -> Iterator[Start]:
    started: list[Server] = []
    base = free_base()

    def begin(program: tuple[str, ...], *options: str, certs: Certificates = authority) -> Server:
        at = len(started)
        started.append(Server(program, tmp_path / str(at), base + at, certs, *options))
        return started[-1]

    yield begin
    for server in started:
        server.close()


@pytest.mark.parametrize("diskless", ["yes", "no"])
@pytest.mark.parametrize(("first", "second"), [(OURS, REDIS), (REDIS, OURS), (OURS, OURS)])
def test_a_copy_the_stream_and_a_change_of_places(
    start: Start, first: tuple[str, ...], second: tuple[str, ...], diskless: str
) -> None:
    master = start(first, "--repl-diskless-sync", diskless)
    master.client.set("big", b"x" * 3_000_000)
    replica = start(second, "--replicaof", "127.0.0.1", str(master.port))
    wait_for(replica.link_up, what="the link")
    master.client.set("after", "the copy")
    assert master.client.wait(1, 5000) == 1
    assert replica.client.get("after") == b"the copy"
    assert replica.client.get("big") == b"x" * 3_000_000
    # The port that the replica told is the one by which its master can reach it.
    assert master.client.execute_command("FAILOVER", "TO", "127.0.0.1", replica.port, "TIMEOUT", 10000) == b"OK"
    wait_for(lambda: replica.client.role()[0] == b"master", what="the promotion")
    wait_for(master.link_up, what="the link back")
    replica.client.set("after", "the failover")
    assert replica.client.wait(1, 5000) == 1
    assert master.client.get("after") == b"the failover"


def test_who_is_signed_by_somebody_else_is_neither_followed_nor_served(start: Start, tmp_path: Path) -> None:
    ours = start(OURS)
    stranger = certificates(tmp_path / "stranger", ["127.0.0.1"])
    other = start(OURS, "--replicaof", "127.0.0.1", str(ours.port), certs=stranger)
    wait_for(lambda: "Error condition on socket for SYNC" in other.log, what="the failed handshake")
    assert not other.link_up()
    assert ours.client.info("replication")["connected_slaves"] == 0


def test_with_a_user_of_its_own(start: Start) -> None:
    """The least that a replica needs, as Redis' documentation of ACLs has it."""
    for first, second in ((OURS, REDIS), (REDIS, OURS)):
        master = start(first, "--user", "link", "on", ">secret", "+psync", "+replconf", "+ping")
        replica = start(second, "--masteruser", "link", "--masterauth", "secret")
        replica.client.replicaof("127.0.0.1", master.port)
        wait_for(replica.link_up, what="the link")
        master.client.set("a", "1")
        assert master.client.wait(1, 5000) == 1
        master.client.execute_command("ACL", "DELUSER", "link")
        wait_for(lambda r=replica: not r.link_up(), what="the end of the link")


def test_bind_source_addr(start: Start) -> None:
    master = start(REDIS, "--protected-mode", "no")
    replica = start(OURS, "--bind-source-addr", "127.0.0.2", "--replicaof", "127.0.0.1", str(master.port))
    wait_for(replica.link_up, what="the link")
    assert master.client.info("replication")["slave0"]["ip"] == "127.0.0.2"


def test_the_versions_of_the_link(start: Start) -> None:
    """A replica that speaks 1.3 alone and a master that does not never meet; CONFIG SET brings them together."""
    master = start(OURS, "--tls-protocols", "TLSv1.2")
    replica = start(OURS, "--tls-protocols", "TLSv1.3")
    replica.client.replicaof("127.0.0.1", master.port)
    wait_for(lambda: "Error condition on socket for SYNC" in replica.log, what="the failed handshake")
    assert replica.client.config_set("tls-protocols", "TLSv1.2 TLSv1.3")
    wait_for(replica.link_up, what="the link")
