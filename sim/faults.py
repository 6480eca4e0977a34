"""Faults with physical names: what each does to a host, a process or the links, and how it is undone.

A fault is data (`Strike`): when, how long, what, to whom. `Faults` makes it happen and mends it. Faults overlap: a
host may lose its power while its process is paused, a link may be cut twice. So mending restores what is possible
then, and what can be on twice (cuts, pauses) is counted.
"""

from __future__ import annotations

import errno
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from sim.cluster import Seat, SimCluster
from sim.fabric import Link, Weather
from sim.process import Process


class Kind(StrEnum):
    """The names that people use."""

    # SIGKILL: the kernel closes the sockets, files stay as they are.
    KILL = "kill"
    # The machine is off: silence, and what was not synced is lost or torn.
    POWER_CUT = "power-cut"
    # SIGTERM: an orderly end.
    STOP = "stop"
    # SIGSTOP, then SIGCONT.
    PAUSE = "pause"
    # Nothing passes between some hosts and others, either way or from the first to the others only.
    CUT = "cut"
    CUT_ONE_WAY = "cut-one-way"
    # Something between them tells both ends of their connections that these are no more; new ones can be made.
    RESET = "reset"
    SLOW_LINK = "slow-link"
    LOSSY_LINK = "lossy-link"
    SLOW_DISK = "slow-disk"
    FULL_DISK = "full-disk"
    # Nothing can be synced any more (EIO).
    FAILING_DISK = "failing-disk"
    # The wall clock jumps; or all clocks run fast or slow.
    SKEW = "skew"
    DRIFT = "drift"


# These strike links; the others strike a process or host with a name.
LINK_KINDS = (Kind.CUT, Kind.CUT_ONE_WAY, Kind.RESET, Kind.SLOW_LINK, Kind.LOSSY_LINK)


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault."""

    number: int
    at_s: float
    lasting_s: float
    kind: Kind
    # Hosts by name. Faults of links are between these and `others`, or everybody else where these are empty.
    targets: tuple[str, ...]
    others: tuple[str, ...] = ()
    # Links: seconds of delay, or the share of packets lost. Disk: how many times slower. Clocks: seconds, or the rate.
    amount: float = 0.0

    def __str__(self) -> str:
        whom = ",".join(self.targets) + (f" from {','.join(self.others)}" if self.others else "")
        amount = f" {self.amount:g}" if self.amount else ""
        return f"#{self.number} {self.kind} {whom}{amount} for {self.lasting_s:.3f} s"


class Faults:
    """Strikes, and mends."""

    __slots__ = ("_cluster", "_undo", "on_mended", "on_struck", "stopping", "struck")

    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        # What mends each strike that is on, by number, in order.
        self._undo: dict[int, tuple[Strike, Callable[[], None]]] = {}
        # How many faults of each kind struck something.
        self.struck: Counter[Kind] = Counter()
        # Told of each of them when it has struck, and when it is mended.
        self.on_struck: Callable[[Strike], None] = _nobody_asks
        self.on_mended: Callable[[Strike], None] = _nobody_asks
        # Processes that were asked to end; one that waits for its replicas may take longer than the strike lasts.
        self.stopping: dict[Process, None] = {}
        cluster.world.may_exit = self._may_exit

    def strike(self, strike: Strike) -> None:
        """Make it happen. A fault that finds nothing to hurt (a kill of what is dead) does not count."""
        undo = self._stop(strike) if strike.kind is Kind.STOP else _STRIKES[strike.kind](self._cluster, strike)
        if undo is not None:
            self.struck[strike.kind] += 1
            self._undo[strike.number] = (strike, undo)
            self._cluster.world.trace.tell("nemesis", f"strikes {strike}")
            self.on_struck(strike)

    def mend(self, number: int) -> None:
        """Undo a strike, if it is on."""
        found = self._undo.pop(number, None)
        if found is not None:
            self._cluster.world.trace.tell("nemesis", f"mends #{number} {found[0].kind}")
            found[1]()
            self.on_mended(found[0])

    def mend_all(self) -> None:
        """Undo everything, and start what does not run."""
        for number in list(self._undo):
            self.mend(number)
        for seat in self._cluster.seats.values():
            _revive(seat)

    def _may_exit(self, process: Process) -> bool:
        """A program of the cluster may end by a kill, by SIGTERM, and because its disk refuses what must be saved."""
        seat = self._cluster.seats.get(process.host.name)
        if seat is None or process.status is None or process.host.disk.in_trouble:
            return True
        # The disk may be well again by the moment in which the program has drawn its conclusion.
        refused = process.status != 0 and process.host.disk.refusals > seat.refusals
        if not refused and (process.status != 0 or process not in self.stopping):
            return False
        self.stopping.pop(process, None)
        if not any(strike.kind is Kind.STOP and strike.targets == (process.host.name,) for strike in self.active()):
            loop = self._cluster.world.loop
            loop.at(loop.now, _revive, seat)
        return True

    def active(self) -> list[Strike]:
        """The strikes that are on."""
        return [strike for strike, _ in self._undo.values()]

    def _stop(self, strike: Strike) -> Undo | None:
        seat = self._cluster.seats[strike.targets[0]]
        if not seat.alive:
            return None
        assert seat.process is not None
        self.stopping[seat.process] = None
        seat.process.signal(signal.SIGTERM)
        return lambda: _revive(seat)


def _nobody_asks(strike: Strike) -> None:
    pass


Undo = Callable[[], None]


def _kill(cluster: SimCluster, strike: Strike) -> Undo | None:
    seat = cluster.seats[strike.targets[0]]
    if not seat.alive:
        return None
    assert seat.process is not None
    seat.process.end(None)
    return lambda: _revive(seat)


def _cut_power(cluster: SimCluster, strike: Strike) -> Undo | None:
    seat = cluster.seats[strike.targets[0]]
    if not seat.host.up:
        return None
    seat.host.cut_power()

    def back() -> None:
        seat.host.boot()
        _revive(seat)

    return back


def _revive(seat: Seat) -> None:
    """Start the program again, if it can run."""
    if seat.host.up and not seat.alive:
        seat.start()


def _pause(cluster: SimCluster, strike: Strike) -> Undo | None:
    seat = cluster.seats[strike.targets[0]]
    process = seat.process
    if process is None or not process.alive:
        return None
    process.pause()
    return lambda: process.resume() if process.alive else None


def _cut(cluster: SimCluster, strike: Strike) -> Undo | None:
    return _cut_links(_links(cluster, strike, both_ways=True))


def _cut_one_way(cluster: SimCluster, strike: Strike) -> Undo | None:
    return _cut_links(_links(cluster, strike, both_ways=False))


def _cut_links(links: list[Link]) -> Undo:
    for link in links:
        link.cuts += 1

    def heal() -> None:
        for link in links:
            link.cuts -= 1

    return heal


def _reset(cluster: SimCluster, strike: Strike) -> Undo | None:
    hosts = cluster.world.hosts
    others = {hosts[name]: None for name in _others(cluster, strike)}
    broken = [
        end for target in strike.targets for end in hosts[target].ends if end.connected and end.peer.host in others
    ]
    for end in broken:
        end.peer.fail(errno.ECONNRESET)
        end.fail(errno.ECONNRESET)
    return _nothing_to_undo if broken else None


def _nothing_to_undo() -> None:
    """Those concerned connect again by themselves."""


def _others(cluster: SimCluster, strike: Strike) -> tuple[str, ...]:
    """The hosts on the other side."""
    return strike.others or tuple(name for name in cluster.world.hosts if name not in strike.targets)


def _links(cluster: SimCluster, strike: Strike, *, both_ways: bool) -> list[Link]:
    """The links from the targets to the others, and back."""
    others = _others(cluster, strike)
    link = cluster.world.fabric.link
    there = [link(target, other) for target in strike.targets for other in others]
    return there + [link(other, target) for target in strike.targets for other in others if both_ways]


def _weather(cluster: SimCluster, strike: Strike, weather: Weather) -> Undo:
    links = _links(cluster, strike, both_ways=True)
    for link in links:
        link.worsen(strike.number, weather)

    def clear_up() -> None:
        for link in links:
            link.clear_up(strike.number)

    return clear_up


def _slow_link(cluster: SimCluster, strike: Strike) -> Undo | None:
    return _weather(cluster, strike, Weather(delay_s=strike.amount, bandwidth=1_000_000))


def _lossy_link(cluster: SimCluster, strike: Strike) -> Undo | None:
    return _weather(cluster, strike, Weather(loss=strike.amount, duplication=0.05, reordering=0.2))


def _slow_disk(cluster: SimCluster, strike: Strike) -> Undo | None:
    disk = cluster.seats[strike.targets[0]].host.disk
    disk.slowness = strike.amount

    def mend() -> None:
        disk.slowness = 1.0

    return mend


def _full_disk(cluster: SimCluster, strike: Strike) -> Undo | None:
    seat = cluster.seats[strike.targets[0]]
    disk = seat.host.disk
    disk.capacity = disk.used

    def mend() -> None:
        disk.capacity = None
        # It may have ended itself for want of a place to save its vote.
        _revive(seat)

    return mend


def _failing_disk(cluster: SimCluster, strike: Strike) -> Undo | None:
    seat = cluster.seats[strike.targets[0]]
    disk = seat.host.disk
    disk.failing = True

    def mend() -> None:
        disk.failing = False
        # As with a full one.
        _revive(seat)

    return mend


def _skew(cluster: SimCluster, strike: Strike) -> Undo | None:
    clock = cluster.seats[strike.targets[0]].host.clock
    jump_us = round(strike.amount * 1_000_000)
    clock.wall_offset_us += jump_us

    def back() -> None:
        clock.wall_offset_us -= jump_us

    return back


def _drift(cluster: SimCluster, strike: Strike) -> Undo | None:
    host = cluster.seats[strike.targets[0]].host
    host.drift(strike.amount)
    return lambda: host.drift(1.0)


_STRIKES: dict[Kind, Callable[[SimCluster, Strike], Undo | None]] = {
    Kind.KILL: _kill,
    Kind.POWER_CUT: _cut_power,
    Kind.PAUSE: _pause,
    Kind.CUT: _cut,
    Kind.CUT_ONE_WAY: _cut_one_way,
    Kind.RESET: _reset,
    Kind.SLOW_LINK: _slow_link,
    Kind.LOSSY_LINK: _lossy_link,
    Kind.SLOW_DISK: _slow_disk,
    Kind.FULL_DISK: _full_disk,
    Kind.FAILING_DISK: _failing_disk,
    Kind.SKEW: _skew,
    Kind.DRIFT: _drift,
}
