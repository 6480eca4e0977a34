"""No room for the log, or for a snapshot: our node and a real server, both under a limit of file size, do the same."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.node.own_server import ROOT
from tests.node.raw_client import RawClient, Words
from tests.ports import free_base
from tests.waiting import wait_for

LIMIT = 4096
VALUE = "x" * 1500
STEPS: list[Words] = [
    ("SET", "a", VALUE),
    ("SET", "b", VALUE),
    # No longer fits; whether that matters to this client is a matter of `appendfsync`.
    ("SET", "c", VALUE),
    ("SET", "d", "1"),
    ("GET", "d"),
    ("STRLEN", "a"),
    ("PING",),
    ("DEL", "a"),
]
SERVERS = {"ours": [sys.executable, "-m", "lab", "server"], "theirs": ["redis-server"]}


def limited() -> None:
    """In the child: files end at the limit with an error, and not with the process."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))


def make_room(server: subprocess.Popen[bytes]) -> None:
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@contextmanager
def running(command: list[str], folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], RawClient]]:
    """A server under the limit, and a client of it."""
    port = free_base()
    folder.mkdir(exist_ok=True)
    command = [*command, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), *options]
    server = subprocess.Popen(command, cwd=ROOT, preexec_fn=limited, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: answers(port), what=f"the server on port {port}")
        client = RawClient(port)
        yield server, client
        client.close()
    finally:
        server.kill()
        server.wait()


def replies(command: list[str], folder: Path, policy: str) -> tuple[list[bytes], int | None, int]:
    """What the server answers, its exit status if it ended, and the size of its log."""
    logging = ("--save", "", "--appendonly", "yes", "--appendfsync", policy)
    with running(command, folder, *logging) as (server, client):
        told = []
        try:
            for words in STEPS:
                told.append(client.ask(*words))  # noqa: PERF401 - what came before the end counts
        except (AssertionError, OSError):
            # It hung up.
            server.wait(10)
        size = (folder / "appendonlydir" / "appendonly.aof.1.incr.aof").stat().st_size
        return told, server.poll(), size


def answers(port: int) -> bool:
    try:
        RawClient(port).close()
    except OSError:
        return False
    return True


# With `everysec` a write may have to wait for a sync, here or there.
@pytest.mark.parametrize("policy", ["no", "always"])
def test_both_say_and_do_the_same(tmp_path: Path, policy: str) -> None:
    ours, theirs = (replies(command, tmp_path / name, policy) for name, command in SERVERS.items())
    # Redis takes a short write for a full disk, whatever the reason was.
    assert [reply.replace(b"File too large", b"No space left on device") for reply in ours[0]] == theirs[0]
    assert ours[1:] == theirs[1:]
    assert len(ours[0]) == (2 if policy == "always" else len(STEPS))
    assert ours[1] == (1 if policy == "always" else None)


def snapshot_replies(command: list[str], folder: Path) -> list[bytes]:
    """What the server answers after a snapshot has failed."""
    with running(command, folder, "--save", "3600 100", "--rdbcompression", "no") as (_, client):
        client.ask("SET", "large", "x" * 2 * LIMIT)
        client.ask("BGSAVE")
        wait_for(lambda: b"rdb_last_bgsave_status:err" in client.ask("INFO", "persistence"), what="the failure")
        steps: list[Words] = [
            ("SET", "a", "1"),
            ("GET", "a"),
            ("PING",),
            ("SAVE",),
            ("CONFIG", "SET", "stop-writes-on-bgsave-error", "no"),
            ("SET", "a", "2"),
            ("CONFIG", "SET", "stop-writes-on-bgsave-error", "yes"),
            ("SET", "a", "3"),
            ("CONFIG", "SET", "save", ""),
            ("SET", "a", "4"),
            ("CONFIG", "SET", "save", "3600 100"),
            ("DEL", "large"),
            ("SAVE",),
            ("SET", "a", "5"),
        ]
        return [client.ask(*words) for words in steps]


def test_writes_are_refused_while_snapshots_fail(tmp_path: Path) -> None:
    ours, theirs = (snapshot_replies(command, tmp_path / name) for name, command in SERVERS.items())
    assert ours == theirs
    assert any(reply.startswith(b"-MISCONF Redis is configured to save RDB snapshots") for reply in ours)


def written(client: RawClient) -> list[bytes]:
    """Keys that were acknowledged, until a write is refused or the server ends."""
    keys = []
    for number in range(1000):
        key = b"key:%d" % number
        try:
            reply = client.ask("SET", key, VALUE[: number % 100])
        except (AssertionError, OSError):
            return keys
        if reply != b"+OK\r\n":
            assert reply.startswith(b"-MISCONF Errors writing to the AOF file: "), reply
            return keys
        keys.append(key)
    raise AssertionError("there was room for everything")


def missing(client: RawClient, keys: list[bytes]) -> list[bytes]:
    return [key for key in keys if client.ask("EXISTS", key) != b":1\r\n"]


@pytest.mark.parametrize("policy", ["no", "everysec", "always"])
def test_nothing_acknowledged_is_lost_when_there_is_room_again(tmp_path: Path, policy: str) -> None:
    logging = ("--save", "", "--appendonly", "yes", "--appendfsync", policy)
    with running(SERVERS["ours"], tmp_path / "ours", *logging) as (server, client):
        keys = written(client)
        assert len(keys) > 20
        if policy == "always":
            assert server.wait(10) == 1
        else:
            assert not missing(client, keys)
            # A smaller file would not fit, either.
            client.ask("BGREWRITEAOF")
            make_room(server)
            wait_for(lambda: client.ask("SET", "later", "1") == b"+OK\r\n", what="the first write")
            keys.append(b"later")
            # What a client was told is in the log, and the rest of it too, before anybody writes more.
            wait_for(lambda: b"aof_buffer_length:0\r\n" in client.ask("INFO", "persistence"), what="the log")
            server.kill()
            server.wait()
    with running(SERVERS["ours"], tmp_path / "ours", *logging) as (server, client):
        assert not missing(client, keys)
        make_room(server)
        assert client.ask("SET", "again", "1") == b"+OK\r\n"


def test_a_base_that_does_not_fit_leaves_the_old_files_in_force(tmp_path: Path) -> None:
    logging = ("--save", "", "--appendonly", "yes", "--appendfsync", "no", "--rdbcompression", "no")
    with running(SERVERS["ours"], tmp_path / "ours", *logging) as (server, client):
        make_room(server)
        client.ask("SET", "large", VALUE * 5)
        # The next increment begins with nothing; the base has all of it.
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))
        assert client.ask("BGREWRITEAOF").startswith(b"+Background append only file rewriting started")
        wait_for(lambda: b"aof_last_bgrewrite_status:err" in client.ask("INFO", "persistence"), what="the failure")
        names = sorted(path.name for path in (tmp_path / "ours" / "appendonlydir").iterdir())
        assert not [name for name in names if name.startswith("temp-")]
        assert client.ask("SET", "small", "1") == b"+OK\r\n"
        make_room(server)
        client.ask("BGREWRITEAOF")
        wait_for(lambda: b"aof_last_bgrewrite_status:ok" in client.ask("INFO", "persistence"), what="the base")
        assert client.ask("SET", "small", "2") == b"+OK\r\n"
        server.kill()
        server.wait()
    with running(SERVERS["ours"], tmp_path / "ours", *logging) as (_, client):
        assert client.ask("STRLEN", "large") == b":%d\r\n" % (5 * len(VALUE))
        assert client.ask("GET", "small") == b"$1\r\n2\r\n"
