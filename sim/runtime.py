"""What a simulated process is given of the outside world: the twins of what `runtime` has, for one incarnation.

Its randomness is the world's seed, the host's name and the incarnation; its clocks are its host's; its log goes to the
trace; what a real node does in a forked child is done inline, on the data as they are at that moment, and takes a
drawn time to be reported.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from random import Random
from typing import TYPE_CHECKING, NoReturn

from runtime import Level, Log, Randomness, Runtime
from runtime.background import BackgroundError, BackgroundKilledError, ConversingJob, Read, Write
from runtime.clock import Clock
from runtime.garbage import Collections
from runtime.process import Usage
from runtime.settings import MissingFileError, to_text
from runtime.tls import Context, TlsError, TlsOptions
from sim.disk import MachineDisk, SimFileSystem
from sim.process import Process
from sim.trace import Trace

if TYPE_CHECKING:
    from sim.loop import SimLoop

# How long a child takes to begin, and for each megabyte that it puts out.
_CHILD_S = (0.5e-3, 5e-3)
_CHILD_S_PER_MB = 5e-3
_CHUNK = 64 * 1024
_MEMORY = 64 * 1024 * 1024


def simulated_runtime(loop: SimLoop, trace: Trace, process: Process, seed: bytes) -> Runtime:
    """The outside world of one incarnation."""
    clock = SimClock(loop, process)
    random = Randomness(seed)
    log = SimLog(clock, trace, process)
    return Runtime(
        clock=clock,
        random=random,
        files=SimFileSystem(loop, process),
        background=SimBackground(loop, log, random.stream("background"), process.pid),
        log=log,
        pid=process.pid,
        process=SimMachine(process),
        tls_contexts=_no_tls,
    )


def _no_tls(_: TlsOptions) -> tuple[Context, Context]:
    raise TlsError("The simulated network speaks no TLS.")


class SimClock:
    """The clocks of the host, with the time the process has lost in this turn."""

    __slots__ = ("_clock", "_loop", "_process")

    def __init__(self, loop: SimLoop, process: Process) -> None:
        self._loop = loop
        self._process = process
        self._clock = process.host.clock

    def wall_ms(self) -> int:
        return self._clock.wall_us(self._loop.now + self._process.lag_s) // 1000

    def wall_us(self) -> int:
        return self._clock.wall_us(self._loop.now + self._process.lag_s)

    def perf_ns(self) -> int:
        return round(self._clock.monotonic_s(self._loop.now + self._process.lag_s) * 1e9)


class SimLog(Log):
    """Log lines are events of the trace, with Redis' sign and without the date."""

    __slots__ = ("_process", "_trace")

    def __init__(self, clock: Clock, trace: Trace, process: Process) -> None:
        super().__init__(clock, _nowhere, pid=process.pid)
        self._trace = trace
        self._process = process

    def line(self, level: Level, text: str) -> None:
        if level >= self.level and self._process.alive:
            self._trace.tell(self._process.name, f"{'.-*#'[level]} {text}")


def _nowhere(_: str) -> None:
    pass


class SimMachine:
    """The process as its own code sees it (`runtime.process.Process`)."""

    __slots__ = ("_process",)

    def __init__(self, process: Process) -> None:
        self._process = process

    def pid(self) -> int:
        return self._process.pid

    def usage(self) -> Usage:
        return Usage(0.0, 0.0, 0.0, 0.0, _MEMORY, _MEMORY)

    def private_dirty_bytes(self) -> int:
        """What children do is done inline, and nothing is copied for it."""
        return 0

    def description(self) -> dict[str, str]:
        return {
            "os": "Simulation",
            "machine_bytes": str(16 * 1024 * 1024 * 1024),
            "interpreter": "simulated",
            "compiled": "0",
            "bits": "64",
            "executable": "/usr/bin/shardlab",
        }

    def allow_files(self, wanted: int) -> int:
        return wanted

    def oom_score(self) -> int:
        return 0

    def set_oom_score(self, score: int, pid: int = 0) -> None:
        """Memory never runs out here."""

    def may_run(self, path: str) -> bool:  # noqa: ARG002 - there are no programs here
        return False

    def set_title(self, title: str) -> None:
        """The process is the simulation's."""

    def settle(self) -> None:
        """The collector belongs to whoever runs the simulation."""

    def collections(self) -> Collections:
        return Collections(0, 0, 0)

    def stall(self, seconds: float) -> None:
        self._process.stall(seconds)

    def interrupted_by(self, signal_name: str) -> AbstractContextManager[None]:  # noqa: ARG002 - none comes
        return nullcontext()

    def die(self, signal_name: str) -> NoReturn:  # noqa: ARG002 - there is one way to die
        self._process.end(None)
        raise SystemExit

    def exit(self, status: int) -> NoReturn:
        self._process.end(status)
        raise SystemExit(status)


class SimJob:
    """A child's work, done already; what is left is the news of it."""

    __slots__ = ("_chunks", "_done", "_failure", "_killed", "_loop", "_paused", "_pid", "_receive", "_timer")

    def __init__(
        self,
        loop: SimLoop,
        pid: int,
        delay_s: float,
        failure: str,
        chunks: deque[bytes],
        receive: Callable[[bytes], None],
    ) -> None:
        self._loop = loop
        self._pid = pid
        # Why the work failed; empty when it did not.
        self._failure = failure
        self._killed = False
        # The output that its reader does not have yet.
        self._chunks = chunks
        self._receive = receive
        self._paused = False
        self._done: asyncio.Future[None] = loop.create_future()
        self._timer: asyncio.TimerHandle | None = loop.call_later(delay_s, self._go_on)

    @property
    def pid(self) -> int:
        return self._pid

    async def wait(self) -> None:
        await asyncio.shield(self._done)
        if self._killed:
            raise BackgroundKilledError("killed")
        if self._failure:
            raise BackgroundError(self._failure)

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            if self._timer is None:
                self._go_on_later()

    def kill(self) -> None:
        if not self._done.done():
            self._killed = True
            self._chunks.clear()
            self._paused = False
            if self._timer is None:
                self._go_on_later()

    def _go_on(self) -> None:
        self._timer = None
        if self._paused:
            return
        if self._chunks:
            self._receive(self._chunks.popleft())
            if not self._paused and self._timer is None:
                self._go_on_later()
        elif not self._done.done():
            self._done.set_result(None)

    def _go_on_later(self) -> None:
        self._timer = self._loop.call_later(_CHILD_S_PER_MB * _CHUNK / 1e6, self._go_on)


class SimBackground:
    """Children that see memory as it was at the fork, because they are done before anything else happens."""

    __slots__ = ("_log", "_loop", "_pid", "_random")

    def __init__(self, loop: SimLoop, log: Log, random: Random, pid: int) -> None:
        self._loop = loop
        self._pid = pid
        self._log = log
        self._random = random

    def shared_numbers(self, count: int) -> memoryview[int]:
        return memoryview(bytearray(8 * count)).cast("Q")

    def start(self, work: Callable[[], None]) -> SimJob:
        return self._job(self._do(work), deque(), _nothing)

    def start_streaming(
        self, work: Callable[[Callable[[bytes], None]], None], receive: Callable[[bytes], None]
    ) -> SimJob:
        output = bytearray()
        failure = self._do(lambda: work(output.extend))
        chunks = deque(bytes(output[start : start + _CHUNK]) for start in range(0, len(output), _CHUNK))
        return self._job(failure, chunks, receive)

    def start_conversation(
        self,
        work: Callable[[Read, Write], None],  # noqa: ARG002 - see below
        receive: Callable[[bytes], None],  # noqa: ARG002
    ) -> ConversingJob:
        raise OSError("a simulated child is done before anybody can talk to it")

    def _do(self, work: Callable[[], None]) -> str:
        """Do the work; returns why it failed, if it did."""
        role = self._log.role
        try:
            work()
        except (BackgroundError, OSError) as error:
            return str(error) or type(error).__name__
        finally:
            # A child's changes of memory are not its parent's; this is the one that children make.
            self._log.role = role
        return ""

    def _job(self, failure: str, chunks: deque[bytes], receive: Callable[[bytes], None]) -> SimJob:
        low, high = _CHILD_S
        delay_s = low + (high - low) * self._random.random()
        return SimJob(self._loop, self._pid, delay_s, failure, chunks, receive)


def _nothing(_: bytes) -> None:
    pass


class DiskConfigFiles:
    """Configuration files on a host's disk (`runtime.settings.ConfigFiles`)."""

    __slots__ = ("_disk",)

    def __init__(self, disk: MachineDisk) -> None:
        self._disk = disk

    def read(self, path: str) -> str:
        try:
            return to_text(self._disk.content(path))
        except FileNotFoundError as error:
            raise MissingFileError(f"can't open config file '{path}': {error.strerror}") from None

    def matching(self, pattern: str) -> list[str]:
        raise MissingFileError(f"include by pattern is not simulated: {posixpath.basename(pattern)}")

    def stdin(self) -> str:
        raise MissingFileError("a simulated process has no standard input")
