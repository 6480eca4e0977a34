"""Files that servers from 2.8 to 7.4 wrote: loaded here with the content that they were given.

For those that it can read, a real server of 7.0 loads the very same file, and both then hold the same. What is in
the files, and how they are made again, is in `old_servers`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from node.persistence.crc64 import crc64
from node.persistence.rdb_reader import RdbReader
from node.persistence.rdb_types import DECODERS
from tests.node.own_server import OwnServer
from tests.node.persistence.old_servers import DUMPS, data, version_of
from tests.node.persistence.test_rdb_files import Told
from tests.node.raw_client import RawClient, bulk_strings, parse_reply
from tests.real_redis import RealRedis

FILES = sorted(DUMPS.glob("*.rdb"))
# What is worth compressing is not the same here and there.
OPTIONS = ("--enable-debug-command", "yes", "--save", "", "--rdbcompression", "no")
# What each kind of value is called in `rdb_types`, by the server that introduced it or was the last to write it.
KINDS = {
    "redis-2.8.17": {1, 2, 3, 4, 10, 11, 12, 13},
    "redis-3.0.5": {1, 2, 3, 4, 10, 11, 12, 13},
    "redis-3.2.6": {2, 3, 4, 11, 12, 13, 14},
    "redis-5.0.6": {2, 4, 5, 11, 12, 13, 14, 15},
    "redis-6.2.14": {2, 4, 5, 11, 12, 13, 14, 15},
    "redis-7.4.1": {2, 4, 5, 11, 16, 17, 18, 20, 21, 24, 25},
}
Start = Callable[..., OwnServer]
StartReal = Callable[..., RealRedis]


@contextmanager
def client_of(server: OwnServer | RealRedis) -> Iterator[RawClient]:
    client = RawClient(server.port)
    try:
        yield client
    finally:
        client.close()


def folder_with(tmp_path: Path, name: str, file: bytes) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "dump.rdb").write_bytes(file)
    return folder


def load(start_server: Start, tmp_path: Path, file: bytes, *options: str) -> OwnServer:
    folder_with(tmp_path, "loaded", file)
    return start_server(*OPTIONS, *options, folder="loaded").wait_ready()


def digest(client: RawClient) -> bytes:
    return parse_reply(client.ask("DEBUG", "DIGEST"))


def told_of_streams(client: RawClient) -> list[bytes]:
    """Not of the empty one: a real server takes the highest id there is for the first one that it had."""
    return [client.ask("XINFO", "STREAM", name, "FULL", "COUNT", "0") for name in ("stream", "stream:small")]


def times_of(client: RawClient) -> list[bytes]:
    times = [client.ask("PEXPIRETIME", name) for name in ("volatile", "hash:long", "far")]
    return times + [
        client.ask("HPEXPIRETIME", key, "FIELDS", "4", "f0", "f1", "f2", "f3")
        for key in ("hash:expiring", "hash:expiring:long")
    ]


def with_version(file: bytes, version: bytes) -> bytes:
    changed = file[:5] + version + file[9:-8]
    return changed + crc64(changed).to_bytes(8, "little")


@pytest.mark.parametrize("dump", FILES, ids=lambda dump: str(dump.stem))
def test_the_content_is_what_the_server_was_given(start_server: Start, tmp_path: Path, dump: Path) -> None:
    loaded = load(start_server, tmp_path, dump.read_bytes())
    given = start_server(*OPTIONS, folder="given").wait_ready()
    with client_of(loaded) as ours, client_of(given) as expected:
        for words in data(version_of(dump)):
            assert not expected.ask(*words).startswith(b"-"), words[:3]
        assert int(parse_reply(ours.ask("DBSIZE"))) > 70
        assert digest(ours) == digest(expected)
        assert times_of(ours) == times_of(expected)
        assert ours.ask("FUNCTION", "LIST", "WITHCODE") == expected.ask("FUNCTION", "LIST", "WITHCODE")
        assert ours.ask("XPENDING", "stream", "group") == expected.ask("XPENDING", "stream", "group")


@pytest.mark.parametrize("dump", [dump for dump in FILES if version_of(dump) < (7, 1)], ids=lambda dump: str(dump.stem))
def test_a_real_server_makes_the_same_of_the_file(
    start_server: Start, start_redis: StartReal, tmp_path: Path, dump: Path
) -> None:
    policy = (
        "--maxmemory-policy",
        "allkeys-lru" if version_of(dump) < (6,) else "allkeys-lfu",
        "--lfu-decay-time",
        "0",
    )
    folder = folder_with(tmp_path, "theirs", dump.read_bytes())
    real = start_redis(*OPTIONS, *policy, "--dir", str(folder))
    with client_of(load(start_server, tmp_path, dump.read_bytes(), *policy)) as ours, client_of(real) as theirs:
        names = sorted(bulk_strings(ours.ask("KEYS", "*")))
        if version_of(dump) >= (6,):
            # First of all: whatever looks at a value uses it.
            frequencies = [ours.ask("OBJECT", "FREQ", name) for name in names]
            assert frequencies == [theirs.ask("OBJECT", "FREQ", name) for name in names]
            assert len(set(frequencies)) > 1
        assert digest(ours) == digest(theirs)
        assert told_of_streams(ours) == told_of_streams(theirs)
        for name in names:
            encoding = ours.ask("OBJECT", "ENCODING", name)
            assert encoding == theirs.ask("OBJECT", "ENCODING", name), name
            # A hash table has no order.
            if b"hashtable" not in encoding and name != b"stream:empty":
                assert ours.ask("DUMP", name) == theirs.ask("DUMP", name), name


def test_what_redis_7_2_wrote_is_what_redis_7_4_writes_of_the_same(start_server: Start, tmp_path: Path) -> None:
    """Less the version, and hashes whose fields expire."""
    dump = DUMPS / "redis-7.4.1.rdb"
    whole = dump.read_bytes()
    told = Told()
    RdbReader(whole, told).read_all()
    names = sorted(name for database, name, *_ in told.entries if database == 0)
    with client_of(load(start_server, tmp_path, with_version(whole, b"0011"))) as ours:
        assert sorted(bulk_strings(ours.ask("KEYS", "*"))) == names


@pytest.mark.parametrize("dump", FILES, ids=lambda dump: str(dump.stem))
def test_the_files_have_the_forms_of_their_time(monkeypatch: pytest.MonkeyPatch, dump: Path) -> None:
    seen: set[int] = set()
    for kind, decode in list(DECODERS.items()):

        def noting(cursor: object, kind: int = kind, decode: Callable[..., object] = decode) -> object:
            seen.add(kind)
            return decode(cursor)

        monkeypatch.setitem(DECODERS, kind, noting)
    told = Told()
    RdbReader(dump.read_bytes(), told).read_all()
    assert seen - {0} == KINDS[dump.stem]
    assert bool(told.uses) == ((5,) <= version_of(dump) < (7,))
    assert re.fullmatch(rb"REDIS00(06|07|09|12)", dump.read_bytes()[:9])


def test_no_dump_is_forgotten() -> None:
    assert {dump.stem for dump in FILES} == set(KINDS)
    assert shutil.which("redis-server") is None or any(version_of(dump) < (7, 1) for dump in FILES)
