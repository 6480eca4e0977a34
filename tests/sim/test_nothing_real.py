"""What would make one run differ from the next gives equal digests or is refused by name (`simulator.md`, 2 and 6).

Each story is told twice, with other addresses for everything; with its treatment switched off the two differ.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import glob
import os
import pathlib
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
import redis.asyncio

from sim import guard
from sim.errors import EscapeError, UnexpectedExitError
from sim.loop import SimTask
from sim.patches import Patches
from sim.world import World
from tests.sim.worlds import forgiving, run_until, start

Tell = Callable[[object], None]


async def sets_of_tasks(tell: Tell) -> None:
    tasks = {asyncio.create_task(asyncio.sleep(1), name=f"t{number}") for number in range(50)}
    for task in tasks:
        tell(task.get_name())
    done, _ = await asyncio.wait(tasks)
    tell([task.get_name() for task in done])


async def names_of_tasks(tell: Tell) -> None:
    tell(asyncio.create_task(asyncio.sleep(0)).get_name())


async def chance(tell: Tell) -> None:
    """redis-py shuffles the nodes to start from, and jitters its pauses between attempts."""
    nodes = list(range(50))
    random.shuffle(nodes)
    tell((nodes, random.random(), random.Random().random()))


async def tokens(tell: Tell) -> None:
    """redis-py's lock takes `uuid1`."""
    tell((uuid.uuid1(), uuid.uuid4(), os.urandom(8), secrets.token_hex(), random.SystemRandom().random()))


async def clocks(tell: Tell) -> None:
    tell((time.time(), time.time_ns(), time.monotonic(), time.monotonic_ns()))
    await asyncio.sleep(1.5)
    tell((time.time(), time.perf_counter(), time.perf_counter_ns()))


async def sets_of_connections(tell: Tell) -> None:
    """redis-py's pool disconnects a set of connections."""
    connections = {redis.asyncio.Connection(port=port) for port in range(50)}
    tell([connection.port for connection in connections])


async def garbage(tell: Tell) -> None:
    class Cycle:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            tell("freed")

    Cycle()
    # The collector comes when there is so much more than before: it would come two or three times meanwhile.
    held = []
    for number in range(2000):
        tell(number)
        await asyncio.sleep(0.001)
        held.append([number])


class OwnHash(SimTask):
    __hash__ = object.__hash__  # type: ignore[assignment]


class OwnName(SimTask):
    def __init__(self, *arguments, name: str, **options) -> None:  # type: ignore[no-untyped-def]
        super().__init__(*arguments, name=None if name.startswith("task-") else name, **options)


def untreated_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.loop.SimTask", OwnHash)


def untreated_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.loop.SimTask", OwnName)


def unpatched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Patches, "applied", lambda _: contextlib.nullcontext())


def collecting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc, "disable", gc.enable)
    # Often, whatever else has been tested in this process.
    gc.set_threshold(700, 10, 10)


STORIES = [
    (sets_of_tasks, untreated_tasks),
    (names_of_tasks, untreated_names),
    (chance, unpatched),
    (tokens, unpatched),
    (clocks, unpatched),
    (sets_of_connections, unpatched),
    (garbage, collecting),
]


def digest(story) -> str:  # type: ignore[no-untyped-def]
    """Told in a world of its own, with all objects at addresses, and the collector in a state, that nobody knows."""
    real = random.SystemRandom()
    heap = [bytearray(real.randrange(2000)) for _ in range(5_000)]
    real.shuffle(heap)
    del heap[::2]
    kept = [[] for _ in range(real.randrange(700))]  # type: ignore[var-annotated]
    with forgiving() as world:
        host = world.add_host("a")
        process = start(host, lambda: story(lambda what: world.trace.tell("a", str(what))))

        async def main() -> str:
            await world.until(lambda: not process.alive, 60.0, "the story's end", every_s=0.001)
            return world.trace.digest()

        found = world.run(main())
        assert world.trace.events > 2
        del heap, kept
        return found


@pytest.mark.parametrize("story", [story for story, _ in STORIES], ids=lambda story: story.__name__)
def test_a_story_is_the_same_every_time(story) -> None:  # type: ignore[no-untyped-def]
    assert len({digest(story) for _ in range(3)}) == 1


@pytest.mark.parametrize(("story", "untreated"), STORIES, ids=lambda part: part.__name__)
def test_without_its_treatment_it_is_not(story, untreated, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    untreated(monkeypatch)
    assert len({digest(story) for _ in range(5)}) > 1


def test_third_parties_see_their_host_s_clocks() -> None:
    seen: list[tuple[float, float]] = []

    async def look() -> None:
        seen.append((time.time(), time.monotonic()))
        await asyncio.sleep(10.0)
        seen.append((time.time(), time.monotonic()))

    with forgiving() as world:
        host = world.add_host("a")
        process = start(host, look)
        run_until(world, lambda: not process.alive)
        host.clock.wall_offset_us += 3_600_000_000
        again = start(host, look)
        run_until(world, lambda: not again.alive)
        ours = time.time()
    assert [round(later - earlier) for (earlier, _), (later, _) in pairwise(seen)] == [10, 3600, 10]
    assert round(seen[1][1] - seen[0][1]) == 10
    # The test's own clock is the real one, also while a world exists.
    assert abs(ours - time.time()) < 60.0


def test_the_real_dice_are_left_as_they_were() -> None:
    random.seed(7)
    expected = random.Random(7).random()
    digest(chance)
    assert random.random() == expected


async def _completed() -> None:
    for first in asyncio.as_completed([asyncio.sleep(1)]):
        await first


ESCAPES: dict[str, Callable[[], object]] = {
    "open": lambda: open("/dev/null"),  # noqa: SIM115 - it is never opened
    "pathlib": lambda: pathlib.Path("/dev/null").read_text(),
    "os.open": lambda: os.open("/dev/null", os.O_RDONLY),
    "os.listdir": lambda: os.listdir("/"),
    "os.rename": lambda: os.rename("/nowhere/a", "/nowhere/b"),
    "os.remove": lambda: os.remove("/nowhere/a"),
    "os.mkdir": lambda: os.mkdir("/nowhere/a"),
    "os.kill": lambda: os.kill(os.getpid(), 0),
    "glob": lambda: glob.glob("/nowhere/*"),
    "shutil": lambda: shutil.rmtree("/nowhere/a"),
    "tempfile": tempfile.mkdtemp,
    "socket": socket.socket,
    "getaddrinfo": lambda: socket.getaddrinfo("localhost", 80),
    "subprocess": lambda: subprocess.run(["true"], check=True),
    "signal": lambda: signal.pthread_kill(threading.get_ident(), 0),
    "time.sleep": lambda: time.sleep(0),
    "Thread.start": lambda: threading.Thread(target=int).start(),
    "as_completed": lambda: asyncio.as_completed([]),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_what_would_leave_the_simulation_is_refused_by_name(name: str) -> None:
    """And the run fails even if the process takes the refusal for an ordinary error."""
    caught: list[Exception] = []

    async def escape() -> None:
        try:
            ESCAPES[name]()
        except Exception as error:
            caught.append(error)

    with forgiving() as world:
        process = start(world.add_host("a"), escape)
        with pytest.raises(UnexpectedExitError, match=r"<process a 101> wants .* should use"):
            run_until(world, lambda: not process.alive)
        # For the run's own code nothing has changed.
        assert pathlib.Path("/dev/null").read_text() == ""
    assert isinstance(caught[0], EscapeError)


def test_without_the_guard_it_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    for event in list(guard._INSTEAD):
        monkeypatch.delitem(guard._INSTEAD, event)

    async def escape() -> None:
        read.append(pathlib.Path("/dev/null").read_text())  # noqa: ASYNC240 - the point

    with forgiving() as world:
        process = start(world.add_host("a"), escape)
        run_until(world, lambda: not process.alive)
    assert read == [""]


def test_late_imports_and_tracebacks_may_read() -> None:
    import sys

    sys.modules.pop("colorsys", None)

    async def load() -> None:
        import colorsys

        assert colorsys.rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)

    with forgiving() as world:
        process = start(world.add_host("a"), load)
        run_until(world, lambda: not process.alive)
        assert process.status == 0


def test_jobs_for_an_executor_are_no_threads() -> None:
    """What replaces them is allowed."""
    threads: list[int] = []

    async def work() -> None:
        await asyncio.get_running_loop().run_in_executor(None, lambda: threads.append(threading.get_ident()))

    with forgiving() as world:
        process = start(world.add_host("a"), work)
        run_until(world, lambda: not process.alive)
    assert threads == [threading.get_ident()]


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    """Some of these worlds play with it."""
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.enable()


def test_a_world_runs_in_pieces_with_one_sequence_of_chance() -> None:
    """Each `run` goes on where the one before it stopped, and does not roll the same dice again."""
    drawn: list[float] = []

    async def draw() -> None:
        drawn.append(random.random())

    with World(1) as world:
        world.may_exit = lambda _: True
        host = world.add_host("a")
        for _ in range(2):
            process = start(host, draw)
            run_until(world, lambda process=process: not process.alive)  # type: ignore[misc]
    assert len(set(drawn)) == 2


# A module loaded before the guard, still in use at the end, is cleared after the guard's.
OPENS_AT_THE_END = """
import sys
import types

early = sys.modules["early"] = types.ModuleType("early")
from sim import guard

guard.install()


class Late:
    def __init__(self):
        self.open = open

    def __del__(self):
        self.open("/dev/null").close()


early.late = Late()
sys.in_use = [early, guard]
"""


def test_the_guard_is_quiet_at_the_interpreters_end() -> None:
    ended = subprocess.run([sys.executable, "-c", OPENS_AT_THE_END], capture_output=True, text=True, check=True)
    assert ended.stderr == ""
