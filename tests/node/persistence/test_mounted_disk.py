"""A disk that is really full: a small file system of its own, under our node and under a real server.

`test_full_disk` has the same with a limit of file size, which needs no mount; here the kernel says ENOSPC, whatever
the file.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.node.own_server import ROOT
from tests.node.persistence.test_full_disk import SERVERS, answers, missing
from tests.node.raw_client import RawClient
from tests.ports import free_base
from tests.waiting import wait_for

SIZE = 1024 * 1024
VALUE = "x" * 2000
AOF_REFUSAL = b"-MISCONF Errors writing to the AOF file: No space left on device\r\n"
RDB_REFUSAL = b"-MISCONF Redis is configured to save RDB snapshots"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not permitted: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def running(name: str, folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], RawClient]]:
    port = free_base()
    where = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--rdbcompression", "no"]
    command = [*SERVERS[name], *where, *options]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: answers(port), what=f"the server on port {port}")
        client = RawClient(port)
        try:
            wait_for(lambda: told(client, b"loading:0"), what="the data")
            yield server, client
        finally:
            client.close()
    finally:
        server.kill()
        server.wait()


def ballast(disk: Path, left: int) -> Path:
    """Leave only so many bytes free."""
    path = disk / "ballast"
    status = subprocess.run(["df", "--output=avail", "-B1", str(disk)], capture_output=True, text=True, check=True)
    path.write_bytes(bytes(int(status.stdout.split()[-1]) - left))
    return path


def fill(client: RawClient) -> tuple[list[bytes], bytes]:
    """Keys that were acknowledged until one was not, and what was said then: nothing when the server has ended."""
    keys = []
    for number in range(2000):
        key = b"key:%d" % number
        try:
            reply = client.ask("SET", key, VALUE)
        except (AssertionError, OSError):
            return keys, b""
        if reply != b"+OK\r\n":
            return keys, reply
        keys.append(key)
    raise AssertionError("there was room for everything")


def told(client: RawClient, field: bytes) -> bool:
    return b"\n" + field + b"\r\n" in client.ask("INFO", "persistence")


@pytest.mark.parametrize("policy", ["everysec", "no"])
@pytest.mark.parametrize("name", list(SERVERS))
def test_a_full_disk_stops_writes_and_nothing_else(disk: Path, name: str, policy: str) -> None:
    logging = ("--save", "", "--appendonly", "yes", "--appendfsync", policy)
    with running(name, disk, *logging) as (server, client):
        assert client.ask("SET", "before", "1") == b"+OK\r\n"
        in_the_way = ballast(disk, 300_000)
        keys, refusal = fill(client)
        assert len(keys) > 50
        assert refusal == AOF_REFUSAL
        assert client.ask("DEL", "before") == AOF_REFUSAL
        assert client.ask("GET", "before") == b"$1\r\n1\r\n"
        assert not missing(client, keys)
        assert told(client, b"aof_last_write_status:err")
        # Everything once more does not fit beside the log.
        client.ask("BGREWRITEAOF")
        wait_for(lambda: told(client, b"aof_rewrite_in_progress:0"), what="the end of the rewrite")
        assert told(client, b"aof_last_bgrewrite_status:err")
        assert not list(disk.rglob("temp-rewriteaof-*"))
        in_the_way.unlink()
        wait_for(lambda: client.ask("SET", "later", "1") == b"+OK\r\n", what="the first write")
        assert told(client, b"aof_last_write_status:ok")
        wait_for(lambda: told(client, b"aof_buffer_length:0"), what="the log")
        server.kill()
        server.wait()
    with running(name, disk, *logging) as (_, client):
        assert not missing(client, [*keys, b"before", b"later"])


@pytest.mark.parametrize("name", list(SERVERS))
def test_who_promised_every_write_ends_before_it_breaks_the_promise(disk: Path, name: str) -> None:
    logging = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")
    with running(name, disk, *logging) as (server, client):
        in_the_way = ballast(disk, 200_000)
        keys, refusal = fill(client)
        assert len(keys) > 50
        assert refusal == b""
        assert server.wait(10) == 1
    in_the_way.unlink()
    with running(name, disk, *logging) as (_, client):
        assert not missing(client, keys)
        assert client.ask("SET", "later", "1") == b"+OK\r\n"


@pytest.mark.parametrize("name", list(SERVERS))
def test_a_snapshot_that_does_not_fit_stops_writes_until_one_does(disk: Path, name: str) -> None:
    with running(name, disk, "--save", "3600 1000") as (server, client):
        assert client.ask("SET", "small", "1") == b"+OK\r\n"
        assert client.ask("SAVE") == b"+OK\r\n"
        for number in range(100):
            client.ask("SET", f"key:{number}", VALUE)
        in_the_way = ballast(disk, 100_000)
        assert client.ask("BGSAVE").startswith(b"+Background saving started")
        wait_for(lambda: told(client, b"rdb_last_bgsave_status:err"), what="the failure")
        assert client.ask("SET", "small", "2").startswith(RDB_REFUSAL)
        assert client.ask("GET", "small") == b"$1\r\n1\r\n"
        assert client.ask("SAVE") == b"-ERR\r\n"
        # The old snapshot is still whole, and nothing is left of the new one.
        assert sorted(path.name for path in disk.iterdir()) == ["ballast", "dump.rdb"]
        in_the_way.unlink()
        client.ask("BGSAVE")
        wait_for(lambda: told(client, b"rdb_last_bgsave_status:ok"), what="the snapshot")
        assert client.ask("SET", "small", "2") == b"+OK\r\n"
        server.kill()
        server.wait()
    with running(name, disk, "--save", "") as (_, client):
        assert client.ask("DBSIZE") == b":101\r\n"
        assert client.ask("GET", "small") == b"$1\r\n1\r\n"
