"""Files that end too early, at every byte of their last 4 KB: what is whole is loaded, or all is refused.

Which of the two, and what is left then, a real server decides for a sample of them.
"""

from __future__ import annotations

import gc
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

import pytest

from node.digest import digest_of_all
from node.persistence.aof.errors import AofError
from node.persistence.aof.reading import CommandReader
from node.persistence.rdb_errors import RdbError
from tests.node.persistence.aof.test_with_real_redis import WRITES
from tests.node.raw_client import RawClient
from tests.node.replication.nodes import Nodes, Running
from tests.ports import free_base
from tests.waiting import wait_for
from wire.encoder import encode_command
from wire.errors import Error

TAIL = 4096
LOG = "appendonlydir"
MANIFEST, BASE, COMMANDS, INCREMENT = (
    f"{LOG}/appendonly.aof.{end}" for end in ("manifest", "1.base.rdb", "1.base.aof", "1.incr.aof")
)
SNAPSHOT = "dump.rdb"


async def fill(node: Running) -> None:
    """One of everything, in little more than 4 KB: thousands of times is it loaded."""
    for words in WRITES:
        if len(words) < 50 and words[0] not in ("FUNCTION", "SELECT", "FLUSHDB"):
            await node.client(*words)
    for number in range(12):
        await node.client("SET", f"key:{number}", "value " * (number % 9))
        await node.client("MULTI")
        await node.client("HSET", "h", str(number), "\r\n")
        await node.client("ZADD", "z", str(number / 4), str(number))
        await node.client("EXEC")


async def written(nodes: Nodes, folder: Path, form: str) -> dict[str, bytes]:
    """The files of a node that has been filled, and logged again since; the base in this form."""
    preamble = form == "rdb"
    node = await nodes.start(form, appendonly=True, appendfsync="no", aof_use_rdb_preamble=preamble)
    await fill(node)
    await node.client("SAVE")
    # The base of the next start has all of it.
    files = {SNAPSHOT: (folder / form / SNAPSHOT).read_bytes()}
    files[INCREMENT] = (folder / form / INCREMENT).read_bytes()
    await nodes.stop(node)
    shutil.rmtree(folder / form / LOG)
    node = await nodes.start(form, aof_use_rdb_preamble=preamble)
    await node.client("BGREWRITEAOF")
    while node.node.child.busy:
        await node.client("PING")
    await nodes.stop(node)
    name = BASE if preamble else COMMANDS
    files[name] = (folder / form / name).read_bytes()
    names = (name.removeprefix(f"{LOG}/"), INCREMENT.removeprefix(f"{LOG}/"))
    files[MANIFEST] = b"file %b seq 1 type b\nfile %b seq 1 type i\n" % tuple(part.encode() for part in names)
    return files


def put(folder: Path, files: dict[str, bytes]) -> None:
    (folder / LOG).mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def state(node: Running) -> str:
    return digest_of_all(node.node.keyspace)


def cuts(data: bytes) -> range:
    return range(max(len(data) - TAIL, 0), len(data))


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where there is such a thing: thousands of files are cut, and each is synced."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


@pytest.fixture
async def loader(nodes: Nodes) -> AsyncIterator[Running]:
    """A node that is made to load things; the collector would look at all of its keyspace each time."""
    gc.freeze()
    gc.disable()
    yield await nodes.start("loader")
    gc.enable()
    gc.unfreeze()


async def test_snapshots(nodes: Nodes, loader: Running, tmp_path: Path) -> None:
    data = (await written(nodes, tmp_path, "rdb"))[SNAPSHOT]
    assert len(data) < 2 * TAIL
    for size in cuts(data):
        with pytest.raises(RdbError) as refused:
            list(loader.node.loader.reload(data[:size], flush=True, merge=False))
        assert refused.value.lines[0] == "Short read or OOM loading DB. Unrecoverable error, aborting now."
    list(loader.node.loader.reload(data, flush=True, merge=False))


@pytest.mark.parametrize("part", range(4))
async def test_increments(nodes: Nodes, loader: Running, tmp_path: Path, part: int) -> None:
    """Nothing of a transaction whose EXEC is missing is executed, and nothing of it stays in the file."""
    files = await written(nodes, tmp_path, "rdb")
    data = files[INCREMENT]
    folder = tmp_path / "loader"
    put(folder, {MANIFEST: files[MANIFEST].splitlines(keepends=True)[1]})
    ends = whole_ends(data)
    states: dict[int, str] = {}
    for size in cuts(data)[part::4]:
        (folder / INCREMENT).write_bytes(data[:size])
        loader.lines.clear()
        list(loader.node.append_only.reload())
        end = max(end for end in ends if end <= size)
        assert (folder / INCREMENT).stat().st_size == end
        said = f"Truncating the AOF appendonly.aof.1.incr.aof at offset {end} !!! ({size - end} bytes dropped)"
        assert (said in loader.log) == (size != end)
        if end not in states or size % 50 == 0:
            found = state(loader)
            assert states.setdefault(end, found) == found
    assert len(states) > 30


def whole_ends(data: bytes) -> list[int]:
    """Where the file may end: behind a command, and not inside of a transaction."""
    reader = CommandReader(data)
    ends, inside = [0], False
    while (argv := reader.next()) is not None:
        inside = argv[0].upper() == b"MULTI" or (inside and argv[0].upper() != b"EXEC")
        if not inside:
            ends.append(reader.position)
    return ends


@pytest.mark.parametrize(("form", "base"), [("rdb", BASE), ("aof", COMMANDS)])
async def test_bases(nodes: Nodes, loader: Running, tmp_path: Path, form: str, base: str) -> None:
    """An increment lies behind it, so that what is missing is in the middle: refused, and nothing is changed."""
    files = await written(nodes, tmp_path, form)
    data = files[base]
    folder = tmp_path / "loader"
    put(folder, files)
    ends = {0} if form == "rdb" else {0, *whole_ends(data)}
    for size in cuts(data):
        (folder / base).write_bytes(data[:size])
        if size in ends:
            list(loader.node.append_only.reload())
        else:
            with pytest.raises(Error):
                list(loader.node.append_only.reload())
        assert (folder / base).stat().st_size == size
        assert (folder / INCREMENT).stat().st_size == len(files[INCREMENT])


async def test_manifests(nodes: Nodes, loader: Running, tmp_path: Path) -> None:
    """Refused, unless it ends with a line: then it says less."""
    files = await written(nodes, tmp_path, "rdb")
    folder = tmp_path / "loader"
    put(folder, files)
    data = files[MANIFEST]
    for size in cuts(data):
        (folder / MANIFEST).write_bytes(data[:size])
        if data[:size].endswith(b"\n"):
            list(loader.node.append_only.reload())
        else:
            with pytest.raises(Error):
                list(loader.node.append_only.reload())


async def start_ours(nodes: Nodes, folder: Path, *, logging: bool) -> str | None:
    """What a start with these files makes of them; None when it refuses to serve."""
    before = contents(folder)
    try:
        node = await nodes.start(folder.name, appendonly=logging)
    except (RdbError, AofError):
        # A real server cuts a log in the middle before it refuses it, and takes it at the next start.
        assert contents(folder) == before
        return None
    found = state(node)
    await nodes.stop(node)
    return found


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*.*")}


def start_theirs(folder: Path, *, logging: bool) -> str | None:
    """The same of a real server."""
    port = free_base()
    command = [
        "redis-server",
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--enable-debug-command",
        "yes",
    ]
    command += ["--appendonly", "yes" if logging else "no"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)

    def served() -> bool:
        return server.poll() is not None or b"Ready to accept connections" in (folder / "log").read_bytes()

    try:
        wait_for(served, what="redis-server")
        if server.poll() is not None:
            return None
        client = RawClient(port)
        found = client.ask("DEBUG", "DIGEST").decode().strip("+\r\n")
        client.close()
        return found
    finally:
        server.kill()
        server.wait()


KINDS = [("rdb", SNAPSHOT), ("rdb", BASE), ("aof", COMMANDS), ("rdb", INCREMENT), ("rdb", MANIFEST)]
SAMPLES = 10


@pytest.mark.parametrize(("form", "name"), KINDS, ids=[name for _, name in KINDS])
async def test_a_real_server_does_the_same(nodes: Nodes, tmp_path: Path, form: str, name: str) -> None:
    files = await written(nodes, tmp_path, form)
    data = files[name]
    chance = Random(name)
    chosen = {0, len(data) - 1, *chance.sample(cuts(data), SAMPLES)}
    if name in (COMMANDS, INCREMENT):
        chosen |= set(whole_ends(data)[-3:])
    if name == MANIFEST:
        chosen.add(data.index(b"\n") + 1)
    served = set()
    for size in sorted(chosen):
        folders = [tmp_path / f"{owner}-{size}" for owner in ("ours", "theirs")]
        for folder in folders:
            put(folder, {**files, name: data[:size]})
        ours = await start_ours(nodes, folders[0], logging=name != SNAPSHOT)
        assert ours == start_theirs(folders[1], logging=name != SNAPSHOT), size
        if ours is not None:
            served.add(size)
            # A real server leaves the beginning of a transaction that was cut, and what it appends becomes part of it.
            sizes = [(folder / INCREMENT).stat().st_size for folder in folders]
            assert sizes[0] <= sizes[1]
    assert (len(served) < len(chosen)) == (name != INCREMENT)
    assert bool(served) == (name != SNAPSHOT)


async def test_what_is_written_after_a_cut_transaction_is_kept(nodes: Nodes, tmp_path: Path) -> None:
    files = await written(nodes, tmp_path, "rdb")
    files[INCREMENT] += encode_command([b"MULTI"]) + encode_command([b"SET", b"cut", b"1"]) + b"*3\r\n$3\r\nSE"
    put(tmp_path / "again", files)
    node = await nodes.start("again", appendonly=True, appendfsync="always")
    await node.client("SET", "later", "1")
    await nodes.stop(node)
    node = await nodes.start("again", appendonly=True)
    assert await node.client("MGET", "cut", "later") == [None, b"1"]
