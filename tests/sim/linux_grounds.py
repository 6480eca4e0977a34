"""Where the rows of `linux_rows` are tried: a simulated world, processes on loopback, two network namespaces."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from sim.host import Host
from sim.process import Process
from sim.world import World
from tests.sim.linux_rows import Row
from tests.sim.linux_server import serve
from tests.sim.worlds import start
from tests.waiting import wait_for

ROOT = Path(__file__).parent.parent.parent
_PORT = 7000


class SimulatedGround:
    """Two hosts of a world."""

    def __init__(self, world: World, row: Row) -> None:
        self._world = world
        self.client_host = world.add_host("client")
        self._host = world.add_host("server")
        self.address = self._host.ip, _PORT
        self._process = start(self._host, lambda: serve(self._host.ip, _PORT, deaf=row.deaf, backlog=row.backlog))
        self._fault = ""

    def strike(self, fault: str) -> None:
        self._fault = fault
        _SIMULATED[fault](self._world, self._host, self._process)

    def mend(self) -> None:
        match self._fault:
            case "pause" | "pause and stop":
                self._process.resume()
            case "power cut":
                self._host.boot()
            case _:
                _cut(self._world, "there" in self._fault, "back" in self._fault, -1)


def _cut(world: World, there: bool, back: bool, change: int) -> None:
    both = there == back
    if there or both:
        world.fabric.link("client", "server").cuts += change
    if back or both:
        world.fabric.link("server", "client").cuts += change


def _pause_and(process: Process, number: signal.Signals) -> None:
    process.pause()
    if number is signal.SIGKILL:
        process.end(None)
    else:
        process.signal(number)


def _power_cut(_: World, host: Host, __: Process) -> None:
    host.cut_power()


_SIMULATED = {
    "kill": lambda world, host, process: process.end(None),
    "stop": lambda world, host, process: process.signal(signal.SIGTERM),
    "pause": lambda world, host, process: process.pause(),
    "pause and kill": lambda world, host, process: _pause_and(process, signal.SIGKILL),
    "pause and stop": lambda world, host, process: _pause_and(process, signal.SIGTERM),
    "cut": lambda world, host, process: _cut(world, True, True, 1),
    "cut there": lambda world, host, process: _cut(world, True, False, 1),
    "cut back": lambda world, host, process: _cut(world, False, True, 1),
    "power cut": _power_cut,
}


class RealGround:
    """A process of this machine, on loopback or wherever its command says."""

    def __init__(self, row: Row, ip: str = "127.0.0.1", port: int = 0, prefix: tuple[str, ...] = ()) -> None:
        self.address = ip, port or _free_port()
        mode = "deaf" if row.deaf else "echo"
        words = [*prefix, sys.executable, "-m", "tests.sim.linux_server", ip, str(self.address[1])]
        self._process = subprocess.Popen([*words, mode, str(row.backlog)], cwd=ROOT, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        self._fault = ""

    def strike(self, fault: str) -> None:
        self._fault = fault
        if "pause" in fault:
            self._process.send_signal(signal.SIGSTOP)
            wait_for(lambda: " T " in Path(f"/proc/{self._process.pid}/stat").read_text(), what="the pause")
        if fault in ("pause and stop", "stop"):
            self._process.send_signal(signal.SIGTERM)
        if fault in ("pause and kill", "kill"):
            self._process.kill()
        if fault in ("pause and kill", "kill", "stop"):
            self._process.wait()

    def mend(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# A neighbour that nobody is: what is sent to it is lost without a word, as behind a cut.
_NOBODY = "02:00:00:00:00:99"


class Wire:
    """Two ends of a wire: one here, one in a network namespace; and a second namespace, where nothing ever ran."""

    def __init__(self) -> None:
        number = os.getpid()
        self._here, self._there = f"sl{number}", f"sr{number}"
        self.spaces = [f"shardlab-{number}-{count}" for count in range(2)]
        net = f"10.213.{number // 64 % 256}.{number % 64 * 4}".rpartition(".")
        self.here_ip, self.there_ip = (f"{net[0]}.{int(net[2]) + count}" for count in (1, 2))
        self._macs = {self._here: "02:00:00:00:01:01", self._there: "02:00:00:00:01:02"}

    def lay(self) -> None:
        for space in self.spaces:
            ip("netns", "add", space)
            ip("-n", space, "link", "set", "lo", "up")
        peer = ("peer", "name", self._there, "address", self._macs[self._there], "netns", self.spaces[0])
        ip("link", "add", self._here, "address", self._macs[self._here], "type", "veth", *peer)
        ip("addr", "add", f"{self.here_ip}/30", "dev", self._here)
        ip("link", "set", self._here, "up")
        self._plug_in(self.spaces[0])
        self.cut(there=False, back=False)

    def _plug_in(self, space: str) -> None:
        ip("-n", space, "addr", "add", f"{self.there_ip}/30", "dev", self._there)
        ip("-n", space, "link", "set", self._there, "up")

    def cut(self, *, there: bool, back: bool, space: int = 0) -> None:
        """Have each way lead where it should, or to nobody."""
        neighbour = ("neigh", "replace", self.there_ip, "dev", self._here, "nud", "permanent", "lladdr")
        ip(*neighbour, _NOBODY if there else self._macs[self._there])
        neighbour = ("neigh", "replace", self.here_ip, "dev", self._there, "nud", "permanent", "lladdr")
        ip("-n", self.spaces[space], *neighbour, _NOBODY if back else self._macs[self._here])

    def replug(self, space: int) -> None:
        """Behind the same address there is another kernel now, which knows of no connection."""
        ip("-n", self.spaces[1 - space], "link", "set", self._there, "netns", self.spaces[space])
        self._plug_in(self.spaces[space])
        self.cut(there=False, back=False, space=space)

    def remove(self) -> None:
        # A namespace goes when the kernel finds time for it.
        ip("link", "del", self._here)
        for space in self.spaces:
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)


class NetworkGround(RealGround):
    """A process in a namespace at the other end of a wire."""

    def __init__(self, wire: Wire, row: Row) -> None:
        self._wire = wire
        super().__init__(row, wire.there_ip, _PORT, ("ip", "netns", "exec", wire.spaces[0]))
        self._booted = False

    def strike(self, fault: str) -> None:
        self._fault = fault
        self._wire.cut(there=fault != "cut back", back=fault != "cut there")
        if fault == "power cut":
            # The end of its connections does not get out any more.
            self._process.kill()
            self._process.wait()

    def mend(self) -> None:
        if self._fault == "power cut":
            self._booted = True
            self._wire.replug(1)
        else:
            self._wire.cut(there=False, back=False)

    def kill(self) -> None:
        super().kill()
        if self._booted:
            self._wire.replug(0)
        self._wire.cut(there=False, back=False)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], capture_output=True, check=True)


def why_no_namespaces() -> str:
    """Why this machine lets us make none, or no wires between them; empty when it does."""
    if shutil.which("ip") is None:
        return "iproute2 is not installed"
    probe = f"shardlab-{os.getpid()}-probe"
    try:
        ip("netns", "add", probe)
        ip("-n", probe, "link", "add", "one", "type", "veth", "peer", "name", "other")
    except subprocess.CalledProcessError as error:
        return f"no network namespaces, or no wires between them: {error.stderr.decode().strip()}"
    finally:
        subprocess.run(["ip", "netns", "del", probe], capture_output=True, check=False)
    return ""
