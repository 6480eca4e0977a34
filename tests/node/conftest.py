"""One of our nodes and one real redis-server, side by side, for tests that compare them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import IN_CI
from tests.node.fake_replica import FakeReplica
from tests.node.own_server import OwnServer
from tests.node.raw_client import RawClient
from tests.ports import free_base
from tests.waiting import wait_for

ROOT = Path(__file__).parent.parent.parent
_OPTIONS = ("--bind", "127.0.0.1", "--save", "", "--enable-debug-command", "yes", "--repl-timeout", "600")


class Pair:
    """The two servers' ports, and clients of both."""

    def __init__(self, ours: int, theirs: int) -> None:
        self.ours = ours
        self.theirs = theirs
        self._clients: list[RawClient] = []

    def connect(self) -> tuple[RawClient, RawClient]:
        """A client of ours, and one of theirs."""
        clients = RawClient(self.ours), RawClient(self.theirs)
        self._clients += clients
        return clients

    def disconnect(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()


@contextmanager
def started_pair(folders: pytest.TempPathFactory, *more: str) -> Iterator[Pair]:
    """Both, with more options than all have, until the end of the block."""
    if shutil.which("redis-server") is None:
        message = "redis-server is not installed (Debian: apt-get install redis-server)"
        pytest.fail(message) if IN_CI else pytest.skip(message)
    base = free_base()
    commands = ([sys.executable, "-m", "lab", "server"], ["redis-server"])
    processes = []
    try:
        for number, command in enumerate(commands):
            folder = folders.mktemp(f"server-{number}")
            options = ("--port", str(base + number), "--dir", str(folder), "--logfile", "log", *_OPTIONS, *more)
            processes.append(subprocess.Popen([*command, *options], cwd=ROOT))
        for number in range(len(commands)):
            wait_for(lambda port=base + number: _answers(port), what=f"the server on port {base + number}")
        pair = Pair(base, base + 1)
        for client in pair.connect():
            # Expiry by a timer would delete keys at other moments on either side.
            assert client.ask("DEBUG", "SET-ACTIVE-EXPIRE", "0") == b"+OK\r\n"
        pair.disconnect()
        yield pair
        pair.disconnect()
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both, started once for all tests of this room."""
    with started_pair(tmp_path_factory) as pair:
        yield pair


@pytest.fixture
def pair(servers: Pair) -> Iterator[Pair]:
    """Both, empty."""
    for client in servers.connect():
        client.ask("FLUSHALL")
        # What a test before has set.
        client.ask("CONFIG", "SET", "notify-keyspace-events", "")
        client.ask("CONFIG", "SET", "stream-node-max-entries", "100", "stream-node-max-bytes", "4096")
    yield servers
    servers.disconnect()


@pytest.fixture(scope="module")
def replicas(servers: Pair) -> Iterator[tuple[FakeReplica, FakeReplica]]:
    """A replica of ours and one of theirs."""
    both = FakeReplica(servers.ours), FakeReplica(servers.theirs)
    yield both
    for replica in both:
        replica.close()


@pytest.fixture
def replica(pair: Pair) -> Iterator[FakeReplica]:
    """A replica of ours, for one test."""
    replica = FakeReplica(pair.ours)
    yield replica
    replica.close()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., OwnServer]]:
    """Start one of our servers with these options, as a process; it ends with the test."""
    started: list[OwnServer] = []

    def start(*options: str, file: str = "", folder: str = "own", port: int = 0, stdin: bytes = b"") -> OwnServer:
        port = port or free_base()
        words = [file] if file else []
        words += ["--port", str(port), "--bind", "127.0.0.1", *options]
        server = OwnServer(port, tmp_path / folder, *words, stdin=stdin)
        started.append(server)
        return server

    yield start
    for server in started:
        server.kill()


def _answers(port: int) -> bool:
    try:
        client = RawClient(port)
    except OSError:
        return False
    client.close()
    return True
