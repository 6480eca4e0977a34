"""One simulated world, from its seed to its verdict: makes hosts, runs, and says what went wrong.

Every random choice comes from a named stream of the seed, so that one more draw in one place leaves all others alone.
The garbage collector is off while a world runs and is called at fixed numbers of events: what it frees, and whose
cleanup code runs, is then the same every time.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import traceback
from collections.abc import Callable, Coroutine
from hashlib import sha256
from random import Random
from typing import Any, TypeVar

from runtime import Runtime
from sim.clock import HostClock
from sim.disk import MachineDisk
from sim.errors import GoneError, UnexpectedExitError
from sim.fabric import Fabric
from sim.guard import install
from sim.host import Host
from sim.huge_pages import HugePages
from sim.loop import SimLoop
from sim.network import Network
from sim.patches import Patches
from sim.process import PROCESS, Process
from sim.runtime import simulated_runtime
from sim.trace import Trace

_T = TypeVar("_T")
# One way, between two hosts.
_LATENCY_S = 0.25e-3
# The CPU that a turn takes.
_CPU_COST_S = (5e-6, 100e-6)
# Events between two collections.
_COLLECT_EVERY = 500_000
# Events between two looks at how large the process has become, whose memory all its worlds share.
_LOOK_EVERY = 50_000
_HUGE_PAGES = HugePages()
# Dead processes whose tasks are held, before they are dissolved.
_DEAD_MAX = 20


class World:
    """Everything that one seed decides."""

    def __init__(
        self,
        seed: int | str,
        *,
        keep_trace: bool = False,
        latency_s: float = _LATENCY_S,
        cpu_cost_s: tuple[float, float] = _CPU_COST_S,
    ) -> None:
        self.seed = seed
        self._cpu_cost_s = cpu_cost_s
        self.loop = SimLoop()
        self.trace = Trace(lambda: self.loop.now, keep=keep_trace)
        self.fabric = Fabric(latency_s)
        self.network = Network(self.loop, self.trace, self.fabric)
        self.loop.network = self.network
        self.loop.on_failure = self._failed
        self.loop.between_slices = self._housekeep
        # By name, in the order in which they were added.
        self.hosts: dict[str, Host] = {}
        self._runtimes: dict[str, int] = {}
        # What must make the run fail: who and what.
        self.failures: list[str] = []
        # Whether a process may end as this one did; faults that make processes end say so here.
        self.may_exit: Callable[[Process], bool] = lambda process: process.status is None
        self._collected_at = 0
        self._looked_at = 0
        self._patches = Patches(self.stream("third parties' ids"), self.stream("third parties"))
        install()

    def stream(self, purpose: str) -> Random:
        """A generator for one purpose. Each call begins the stream anew."""
        return Random(self._seed_of(purpose))

    def _seed_of(self, purpose: str) -> bytes:
        return sha256(f"{self.seed}/{purpose}".encode()).digest()

    # ---- making

    def add_host(self, name: str) -> Host:
        """A machine that is switched on and has nothing on it."""
        number = len(self.hosts) + 1
        chance = self.stream(f"host {name}")
        clock = HostClock(uptime_s=round(chance.uniform(100.0, 100_000.0), 3))
        disk = MachineDisk(self.loop, self.trace, name, self.stream(f"disk {name}"))
        host = Host(
            self.loop,
            self.trace,
            name,
            f"10.0.{number // 256}.{number % 256}",
            clock,
            disk,
            chance,
            self.stream(f"cpu {name}"),
            self._cpu_cost_s,
            self._process_ended,
        )
        self.hosts[name] = host
        self.fabric.add(name, self.stream(f"network {name}"))
        self.network.add(host)
        return host

    def runtime(self, process: Process) -> Runtime:
        """What a process of ours is built with; other randomness for every incarnation."""
        number = self._runtimes[process.name] = self._runtimes.get(process.name, 0) + 1
        return simulated_runtime(self.loop, self.trace, process, self._seed_of(f"process {process.name} {number}"))

    # ---- running

    def run(self, main: Coroutine[Any, Any, _T]) -> _T:
        """Run until `main`, which belongs to no process, is done; raises UnexpectedExitError when something failed."""
        was_enabled = gc.isenabled()
        hook = sys.unraisablehook
        gc.disable()
        sys.unraisablehook = self._unraisable
        try:
            with self._patches.applied():
                result = self.loop.run_until_complete(main)
        finally:
            sys.unraisablehook = hook
            if was_enabled:
                gc.enable()
        if self.failures:
            raise UnexpectedExitError("\n".join(self.failures))
        return result

    def close(self) -> None:
        """End everything, as a power cut of the whole world would, and free it."""
        self.trace.close()
        for host in self.hosts.values():
            if host.up:
                host.cut_power()
        hook, sys.unraisablehook = sys.unraisablehook, _ignore
        try:
            self.dissolve()
            self.loop.close()
            # What this world made is in the young generations.
            gc.collect(1)
        finally:
            sys.unraisablehook = hook

    def dissolve(self) -> None:
        """Free what dead processes held; for use while the world does not run."""
        asyncio.events._set_running_loop(self.loop)
        try:
            self.loop.dissolve_dead()
        finally:
            asyncio.events._set_running_loop(None)

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def until(self, condition: Callable[[], bool], timeout_s: float, what: str, every_s: float = 0.05) -> float:
        """Wait in virtual time; returns how long it took. Raises TimeoutError when it takes too long, and
        UnexpectedExitError as soon as something has failed."""
        began = self.loop.now
        while not condition():
            if self.failures:
                raise UnexpectedExitError("\n".join(self.failures))
            if self.loop.now - began > timeout_s:
                raise TimeoutError(f"{what}: not within {timeout_s:g} s")
            await asyncio.sleep(every_s)
        return self.loop.now - began

    # ---- what happens in it

    def _process_ended(self, process: Process) -> None:
        if not self.may_exit(process):
            left = "".join(f"\n  it left {line}" for line in process.waiting())
            self.failures.append(f"{self.loop.now:.6f} {process.name} ended with status {process.status}{left}")

    def _failed(self, process: Process | None, what: str, failure: BaseException | None) -> None:
        text = "".join(traceback.format_exception(failure)) if failure is not None else ""
        self.failures.append(f"{self.loop.now:.6f} {process or 'the run'}: {what}\n{text}")

    def _unraisable(self, unraisable: Any) -> None:
        """An exception in a `__del__`, or in a generator that was thrown away."""
        process = PROCESS.get()
        if isinstance(unraisable.exc_value, GoneError) or (process is not None and not process.alive):
            return
        what = f"{unraisable.err_msg or 'unraisable'}: {unraisable.object!r}"
        self._failed(self.loop.current, what, unraisable.exc_value)

    def _housekeep(self) -> None:
        if len(self.loop.dead) > _DEAD_MAX:
            self.loop.dissolve_dead()
        if self.loop.events - self._collected_at >= _COLLECT_EVERY:
            self._collected_at = self.loop.events
            self.collect()
        if self.loop.events - self._looked_at >= _LOOK_EVERY:
            self._looked_at = self.loop.events
            _HUGE_PAGES.look()

    def collect(self) -> None:
        """Collect garbage. What has a finalizer then is most likely a dead process', and must find itself dead."""
        if self.loop.last_dead is None:
            gc.collect()
        else:
            self.loop.last_dead.free(gc.collect)


def _ignore(_: Any) -> None:
    """What cleanup runs into in a world that is over."""
