"""One test body for both disks: what product code may rely on. Then the power cuts, which only one of them can do."""

from __future__ import annotations

import asyncio
import errno
import subprocess
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runtime import Disk
from runtime.disk import RealDisk
from sim.disk import SimDisk
from sim.host import Host
from sim.process import Process
from sim.world import World
from tests.sim.worlds import forgiving, run_for, run_until

Body = Callable[[Disk], Coroutine[Any, Any, None]]


@pytest.fixture(params=["real", "simulated"])
def on_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Body], None]:
    """Run a body on one of the two."""

    def real(body: Body) -> None:
        asyncio.run(body(RealDisk(str(tmp_path))))

    def simulated(body: Body) -> None:
        with forgiving() as world:
            host = world.add_host("a")
            process = use(world, host, body)
            run_until(world, lambda: not process.alive)
            assert not world.failures

    return real if request.param == "real" else simulated


def use(world: World, host: Host, body: Body) -> Process:
    async def main(process: Process) -> int:
        await body(SimDisk(world.loop, process, "/"))
        return 0

    return host.start("user of the disk", main)


def test_a_file_is_what_was_written(on_disk: Callable[[Body], None]) -> None:
    async def body(disk: Disk) -> None:
        file = disk.create("a")
        assert (disk.read("a"), file.size) == (b"", 0)
        file.write(b"one ")
        file.write(b"two")
        assert (disk.read("a"), file.size) == (b"one two", 7)
        await file.sync()
        file.truncate(3)
        file.write(b"!")
        file.sync_now()
        file.close()
        assert disk.read("a") == b"one!"

    on_disk(body)


def test_appending_goes_on_and_creating_begins_again(on_disk: Callable[[Body], None]) -> None:
    async def body(disk: Disk) -> None:
        for opened, text in ((disk.create, b"x"), (disk.open_append, b"y"), (disk.open_append, b"z")):
            file = opened("a")
            file.write(text)
            file.close()
        assert disk.read("a") == b"xyz"
        file = disk.open_append("a")
        assert file.size == 3
        file.close()
        disk.create("a").close()
        assert disk.read("a") == b""

    on_disk(body)


def test_names(on_disk: Callable[[Body], None]) -> None:
    async def body(disk: Disk) -> None:
        for name in ("b", "a", "c"):
            file = disk.create(name)
            file.write(name.encode())
            file.close()
        assert disk.listdir() == ["a", "b", "c"]
        disk.rename("a", "b")
        disk.unlink("c")
        await disk.sync_dir()
        disk.sync_dir_now()
        assert disk.listdir() == ["b"]
        assert disk.read("b") == b"a"
        assert disk.exists("b")
        assert not disk.exists("a")

    on_disk(body)


def test_what_is_not_there(on_disk: Callable[[Body], None]) -> None:
    async def body(disk: Disk) -> None:
        for attempt in (disk.read, disk.unlink, lambda name: disk.rename(name, "x")):
            with pytest.raises(FileNotFoundError) as caught:
                attempt("nothing")
            assert caught.value.errno == errno.ENOENT
            assert caught.value.strerror == "No such file or directory"

    on_disk(body)


def test_replacing_leaves_one_file(on_disk: Callable[[Body], None]) -> None:
    async def body(disk: Disk) -> None:
        disk.replace("a", b"one")
        disk.replace("a", b"two")
        assert disk.read("a") == b"two"
        assert disk.listdir() == ["a"]

    on_disk(body)


def test_an_open_file_outlives_its_name(on_disk: Callable[[Body], None]) -> None:
    async def body(disk: Disk) -> None:
        file = disk.create("a")
        disk.create("b").close()
        disk.rename("b", "a")
        file.write(b"into the void")
        file.close()
        assert disk.read("a") == b""

    on_disk(body)


def test_folders(on_disk: Callable[[Body], None]) -> None:
    async def body(disk: Disk) -> None:
        inner = disk.folder("inner")
        inner.create("a").close()
        assert disk.folder("inner").listdir() == ["a"]
        assert disk.listdir() == ["inner"]
        assert disk.exists("inner")
        assert inner.path == disk.path.rstrip("/") + "/inner"

    on_disk(body)


def test_a_lock_is_held_until_the_file_is_closed(on_disk: Callable[[Body], None]) -> None:
    async def body(disk: Disk) -> None:
        first, second = disk.open_append("a"), disk.open_append("a")
        assert first.lock()
        assert first.lock()
        assert not second.lock()
        first.close()
        assert second.lock()
        second.close()

    on_disk(body)


CAPACITY = 64 * 1024


@pytest.fixture
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Body], None]]:
    """Run a body on a disk that holds 64 KiB."""

    def simulated(body: Body) -> None:
        with forgiving() as world:
            host = world.add_host("a")
            host.disk.capacity = CAPACITY
            process = use(world, host, body)
            run_until(world, lambda: not process.alive)
            assert not world.failures

    if request.param == "simulated":
        yield simulated
        return
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={CAPACITY}", "tmpfs", str(tmp_path)]
    mounted = subprocess.run(mounting, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system of a given size can be mounted here: {mounted.stderr.strip()}")
    yield lambda body: asyncio.run(body(RealDisk(str(tmp_path))))
    subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize("small_disk", ["real", "simulated"], indirect=True)
def test_a_full_disk_takes_what_fits_and_works_again_when_there_is_room(small_disk: Callable[[Body], None]) -> None:
    async def body(disk: Disk) -> None:
        disk.replace("safe", b"old" * 1000)
        file = disk.create("log")
        file.write(b"x" * 40_000)
        with pytest.raises(OSError, match="No space left on device") as caught:
            file.write(b"y" * 100_000)
        assert caught.value.errno == errno.ENOSPC
        # Files take whole pages, on tmpfs.
        assert CAPACITY - 4096 <= file.size <= CAPACITY - 3000
        # What is there can be kept, but nothing new.
        await file.sync()
        with pytest.raises(OSError, match="No space left on device"):
            disk.replace("safe", b"new" * 2000)
        assert disk.read("safe") == b"old" * 1000
        assert disk.listdir() == ["log", "safe"]
        file.truncate(40_000)
        disk.replace("safe", b"new" * 2000)
        assert (disk.read("safe"), disk.read("log")) == (b"new" * 2000, b"x" * 40_000)
        file.close()

    small_disk(body)


# ---- what only the simulated one can do


def test_a_kill_keeps_what_was_written_and_frees_the_lock() -> None:
    async def body(disk: Disk) -> None:
        file = disk.create("a")
        assert file.lock()
        file.write(b"unsynced")
        await asyncio.sleep(1e9)

    seen: list[tuple[bytes, bool]] = []

    async def look(disk: Disk) -> None:
        seen.append((disk.read("a"), disk.open_append("a").lock()))

    with forgiving() as world:
        host = world.add_host("a")
        victim = use(world, host, body)
        run_for(world, 0.1)
        victim.end(None)
        use(world, host, look)
        run_for(world, 0.1)
    assert seen == [(b"unsynced", True)]


def test_a_full_disk_takes_what_fits() -> None:
    async def body(disk: Disk) -> None:
        file = disk.create("a")
        with pytest.raises(OSError, match="No space left") as caught:
            file.write(b"0123456789")
        assert caught.value.errno == errno.ENOSPC
        assert file.size == 4
        with pytest.raises(OSError, match="No space left"):
            disk.replace("b", b"x")
        assert disk.listdir() == ["a"]

    with forgiving() as world:
        host = world.add_host("a")
        host.disk.capacity = 4
        process = use(world, host, body)
        run_until(world, lambda: not process.alive)
        assert not world.failures


def test_syncing_now_stops_the_process_and_nothing_else() -> None:
    times: list[float] = []

    async def body(disk: Disk) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        loop.call_soon(lambda: times.append(loop.time() - before))
        disk.create("a").sync_now()
        times.append(loop.time() - before)

    with forgiving() as world:
        host = world.add_host("a")
        host.disk.slowness = 1000.0
        process = use(world, host, body)
        run_until(world, lambda: not process.alive)
    assert 0.1 <= times[0] <= times[1]


def after_power_cut(seed: int, body: Body, at_s: float = 0.5) -> dict[str, bytes]:
    """The files that are left when the power goes while `body` runs or after it."""
    with forgiving(seed) as world:
        host = world.add_host("a")

        async def stay(disk: Disk) -> None:
            await body(disk)
            await asyncio.sleep(1e9)

        use(world, host, stay)
        run_for(world, at_s)
        host.cut_power()
        return {name: bytes(inode.data) for name, inode in host.disk.folder("/").names.items()}


def test_a_thousand_power_cuts() -> None:
    """What was synced is always there; what was not is lost in every way that it can be."""
    kinds: Counter[str] = Counter()

    async def body(disk: Disk) -> None:
        file = disk.create("log")
        file.write(b"syn")
        file.sync_now()
        file.write(b"ced.")
        await asyncio.gather(file.sync(), disk.sync_dir())
        file.write(b"unsynced")
        disk.create("removed").close()
        disk.replace("hasty", b"old")
        disk.replace("safe", b"old")
        disk.replace("safe", b"new")
        # Synced itself, but not its name; a rename that is not synced; one before its content is; a removal.
        _synced(disk, "created")
        _synced(disk, "hasty.tmp")
        disk.rename("hasty.tmp", "hasty")
        careless = disk.create("careless.tmp")
        careless.write(b"content")
        disk.rename("careless.tmp", "careless")
        disk.unlink("removed")

    for seed in range(1000):
        left = after_power_cut(seed, body)
        log, tail = left["log"][:7], left["log"][7:]
        assert log == b"synced."
        assert left["safe"] == b"new"
        if tail.rstrip(b"\0") != tail:
            kinds["zeros"] += 1
        else:
            assert b"unsynced".startswith(tail)
            kinds["whole" if tail == b"unsynced" else "torn" if tail else "lost"] += 1
        content = left.get("careless")
        kinds["no name" if content is None else "renamed" if content == b"content" else "renamed, torn"] += 1
        assert left.get("created", b"content") == b"content"
        kinds["created" if "created" in left else "missing"] += 1
        assert left["hasty"] in (b"old", b"content")
        kinds["replaced" if left["hasty"] == b"content" else "rename lost"] += 1
        kinds["still there" if "removed" in left else "removed"] += 1
        # Names change in order.
        assert "careless" not in left or left["hasty"] == b"content"
    assert min(kinds[kind] for kind in ("zeros", "whole", "torn", "lost")) > 20
    assert min(kinds[kind] for kind in ("no name", "renamed", "renamed, torn")) > 20
    assert min(kinds[kind] for kind in ("missing", "created", "rename lost", "replaced")) > 20
    assert min(kinds[kind] for kind in ("still there", "removed")) > 20


def _synced(disk: Disk, name: str) -> None:
    file = disk.create(name)
    file.write(b"content")
    file.sync_now()
    file.close()


def test_a_failing_disk_refuses_to_sync_and_what_was_written_is_lost_with_the_power() -> None:
    caught: list[int | None] = []

    async def body(disk: Disk) -> None:
        file = disk.create("a")
        disk.sync_dir_now()
        file.write(b"written")
        for attempt in (file.sync, disk.sync_dir, _now(file.sync_now), _now(disk.sync_dir_now)):
            try:
                await attempt()
            except OSError as error:
                caught.append(error.errno)
        with pytest.raises(OSError, match="Input/output error"):
            disk.replace("b", b"x")
        assert (disk.read("a"), disk.listdir()) == (b"written", ["a"])
        await asyncio.sleep(1e9)

    with forgiving() as world:
        host = world.add_host("a")
        use(world, host, body)
        world.loop.at(0.0, setattr, host.disk, "failing", True)
        run_for(world, 1.0)
        assert not world.failures
        assert caught == [errno.EIO] * 4
        host.cut_power()
        assert b"written".startswith(host.disk.content("/a").rstrip(b"\0"))


def _now(sync: Callable[[], None]) -> Callable[[], Coroutine[Any, Any, None]]:
    async def call() -> None:
        sync()

    return call


def test_a_slow_disk_takes_longer_to_sync_and_nothing_else() -> None:
    times: dict[float, list[float]] = {}

    async def body(disk: Disk, slowness: float) -> None:
        loop = asyncio.get_running_loop()
        file = disk.create("a")
        began = loop.time()
        file.write(b"x" * 100_000)
        disk.read("a")
        written = loop.time()
        await file.sync()
        times[slowness] = [written - began, loop.time() - written]

    for slowness in (1.0, 100.0):
        with forgiving() as world:
            host = world.add_host("a")
            host.disk.slowness = slowness
            process = use(world, host, partial(body, slowness=slowness))
            run_until(world, lambda process=process: not process.alive)
    assert times[1.0][0] == times[100.0][0] == 0.0
    assert times[100.0][1] == pytest.approx(100 * times[1.0][1], rel=0.1)


def test_a_rename_without_a_sync_of_the_folder_may_not_have_happened() -> None:
    async def body(disk: Disk) -> None:
        disk.replace("a", b"old")
        file = disk.create("a.tmp")
        file.write(b"new")
        file.sync_now()
        file.close()
        disk.rename("a.tmp", "a")

    contents = Counter(after_power_cut(seed, body)["a"] for seed in range(100))
    assert set(contents) == {b"old", b"new"}


def test_a_file_cut_short_may_come_back_long() -> None:
    async def body(disk: Disk) -> None:
        disk.replace("a", b"long content")
        disk.open_append("a").truncate(4)

    contents = Counter(after_power_cut(seed, body)["a"] for seed in range(100))
    assert set(contents) == {b"long", b"long content"}


def test_a_sync_under_way_may_count_or_not() -> None:
    async def body(disk: Disk) -> None:
        file = disk.create("a")
        await disk.sync_dir()
        file.write(b"x")
        await file.sync()

    contents = Counter(after_power_cut(seed, body, at_s=0.0012).get("a") for seed in range(200))
    assert {b"", b"x"} <= set(contents)
