"""A machine: its address and ports, its clocks, its disk, the processes on it, and what befalls it.

A kill and a power cut are different things. A killed process' kernel lives: it closes the sockets and keeps what was
written to files. A machine without power says nothing to anybody, and forgets what was not synced.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from random import Random
from typing import TYPE_CHECKING, Any

from sim.clock import HostClock
from sim.process import Process
from sim.tcp import Address, End

if TYPE_CHECKING:
    from sim.datagram import SimDatagrams
    from sim.disk import MachineDisk
    from sim.loop import SimLoop
    from sim.trace import Trace
    from sim.transport import Port

_WILDCARD = "0.0.0.0"
# Where the kernel looks for a free port.
_EPHEMERAL = (32_768, 60_999)

Main = Callable[[Process], Coroutine[Any, Any, int | None]]


class Host:
    """One machine."""

    __slots__ = (
        "_chance",
        "_cpu",
        "_cpu_cost_s",
        "_loop",
        "_next_pid",
        "_next_port",
        "_on_exit",
        "_trace",
        "clock",
        "datagram_sockets",
        "disk",
        "ends",
        "ip",
        "name",
        "ports",
        "processes",
        "up",
    )

    def __init__(
        self,
        loop: SimLoop,
        trace: Trace,
        name: str,
        ip: str,
        clock: HostClock,
        disk: MachineDisk,
        chance: Random,
        cpu: Random,
        cpu_cost_s: tuple[float, float],
        on_exit: Callable[[Process], None],
    ) -> None:
        self._loop = loop
        self._trace = trace
        self.name = name
        self.ip = ip
        self.clock = clock
        self.disk = disk
        # For what the kernel does, and, apart so that it can be switched off, for how long turns take.
        self._chance = chance
        self._cpu = cpu
        self._cpu_cost_s = cpu_cost_s
        # Told of every process that ended.
        self._on_exit = on_exit
        self.up = True
        # The processes that are alive, by pid.
        self.processes: dict[int, Process] = {}
        self._next_pid = 100
        self._next_port = _EPHEMERAL[0] + chance.randrange(1000)
        # Who listens, and what the kernel knows of connections.
        self.ports: dict[Address, Port] = {}
        self.datagram_sockets: dict[Address, SimDatagrams] = {}
        self.ends: dict[End, None] = {}

    def __repr__(self) -> str:
        return f"<host {self.name}>"

    # ---- processes

    def start(self, name: str, main: Main) -> Process:
        """Run a program: `main` is called with its process, and what it returns is the exit status."""
        assert self.up, f"{self.name} has no power"
        self._next_pid += 1
        process = Process(self._loop, self, name, self._next_pid, self._cpu, self._cpu_cost_s)
        process.ended = self._ended
        self.processes[process.pid] = process
        self._trace.tell(self.name, f"start {name} as {process.pid}")
        process.run(main(process))
        return process

    def _ended(self, process: Process) -> None:
        del self.processes[process.pid]
        how = "killed" if process.status is None else f"exit {process.status}"
        self._trace.tell(self.name, f"end {process.name} {process.pid}: {how}")
        self._on_exit(process)

    def cut_power(self) -> None:
        """Everything stops in the middle of what it was doing; nobody is told."""
        assert self.up, f"{self.name} has no power already"
        self.up = False
        self._trace.tell(self.name, "power cut")
        processes, self.processes = self.processes, {}
        for process in processes.values():
            process.lose_power()
        self.ports.clear()
        self.datagram_sockets.clear()
        for end in list(self.ends):
            end.vanish()
        self.disk.cut_power()

    def boot(self) -> None:
        """Power is back; programs must be started again."""
        assert not self.up, f"{self.name} is running"
        self.up = True
        self._trace.tell(self.name, "boot")

    def drift(self, rate: float) -> None:
        """The clocks run at `rate` seconds a second from now on, and timers with them."""
        self.clock.drift(self._loop.now, rate)
        self._loop.retime(self.clock)

    # ---- what the kernel knows

    def listening(self, address: Address) -> Port | None:
        """Who takes connections to an address of this host."""
        return self.ports.get(address) or self.ports.get((_WILDCARD, address[1]))

    def datagram_socket(self, address: Address) -> SimDatagrams | None:
        return self.datagram_sockets.get(address) or self.datagram_sockets.get((_WILDCARD, address[1]))

    @staticmethod
    def taken(address: Address, among: Iterable[Address]) -> bool:
        """Whether a socket bound to `address` would share it with another one."""
        ip, port = address
        return any(number == port and (_WILDCARD in (ip, bound) or bound == ip) for bound, number in among)

    def free_port(self) -> int:
        """The next one that a client gets. They come round after 28,000."""
        low, high = _EPHEMERAL
        self._next_port = low if self._next_port >= high else self._next_port + 1
        return self._next_port

    def draw_job_s(self) -> float:
        """How long a job for another thread takes to be picked up and done."""
        return 1e-5 + 1e-4 * self._chance.random()
