"""What strikes a cluster, as data: drawn from a seed, printed, replayed, and all undone in the end.

A fault strikes at its time, or, where it has a cue, at the first such moment after it: partitions hurt most just when
a master was declared failed, votes are asked for, or a replica was promoted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from cluster.events import BecomeMaster, Broadcast, Effect, Failover, FailoverMode, LinkId, Send
from cluster.messages import Fail, FailoverAuthAck, FailoverAuthRequest, Message
from sim.rules.host import Host, Watcher
from sim.rules.network import Direction
from sim.rules.world import World, between

# Kinds, by the names people use, with how often each is drawn.
KINDS = {
    "kill": 4,
    "power": 3,
    "pause": 3,
    # All hosts in two groups; one host from all others; two hosts from each other.
    "partition": 3,
    "isolate": 3,
    "cut": 4,
    "slow": 2,
    "loss": 1,
    # The power fails in the middle of a step, right after something was said that rests on the disk.
    "torn": 3,
    # Orders of an operator, or of a sentinel.
    "takeover": 1,
    "failover": 1,
}
CUES = ("fail", "request", "vote", "win")
_CUE_SHARE = 0.4
# Longer than any cluster needs to notice, and to replace a master.
_LASTS_MS = (200.0, 15_000.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, and when it is right again."""

    kind: str
    at_ms: float
    lasts_ms: float
    # Names of those it strikes; those on one side of a partition.
    who: tuple[str, ...]
    # One way only, for cuts; nobody hears `who`.
    one_way: bool = False
    # Latency in ms, or part of datagrams lost.
    amount: float = 0.0
    # What it waits for, once its time has come.
    cue: str = ""

    def __str__(self) -> str:
        cue = f" on {self.cue}" if self.cue else ""
        way = " one way" if self.one_way else ""
        amount = f" {self.amount:.2f}" if self.amount else ""
        return f"{self.kind} {','.join(self.who)}{way}{amount} at {self.at_ms:.0f}{cue} for {self.lasts_ms:.0f} ms"


def draw(rng: Random, world: World, kinds: Sequence[str], count: int, duration_ms: float) -> list[Fault]:
    """Some faults for a world, all within the duration."""
    weights = [KINDS[kind] for kind in kinds]
    faults = []
    for _ in range(count):
        [kind] = rng.choices(kinds, weights)
        at_ms = rng.uniform(0.0, duration_ms * 0.8)
        lasts_ms = min(rng.uniform(*_LASTS_MS), duration_ms - at_ms)
        cue = rng.choice(CUES) if rng.random() < _CUE_SHARE else ""
        one_way = rng.random() < 0.25
        amount = {"slow": rng.uniform(20.0, 600.0), "loss": rng.uniform(0.02, 0.4)}.get(kind, 0.0)
        faults.append(Fault(kind, at_ms, lasts_ms, _victims(rng, world, kind), one_way, amount, cue))
    return sorted(faults, key=lambda fault: fault.at_ms)


def _victims(rng: Random, world: World, kind: str) -> tuple[str, ...]:
    names = [host.name for host in world.hosts]
    match kind:
        case "partition":
            return tuple(name for name in names if rng.random() < 0.5) or (rng.choice(names),)
        case "takeover" | "failover":
            return (rng.choice([name for name in names if name.startswith("r")] or names),)
        case "cut" | "slow" if world.shape.replicas and rng.random() < 0.5:
            # A replica and the master of its shard.
            replica = rng.randrange(world.shape.masters, world.shape.nodes)
            return (names[replica], names[replica % world.shape.masters])
        case "cut" | "slow":
            return tuple(rng.sample(names, 2))
        case "loss":
            return ()
        case _:
            # Masters are what it is about.
            half = names[: world.shape.masters] if rng.random() < 0.5 else names
            return (rng.choice(half),)


class Nemesis(Watcher):
    """Lets faults strike, and undoes them."""

    def __init__(self, world: World, faults: Sequence[Fault], restarted: Callable[[Host], None]) -> None:
        self._world = world
        # Told of every restart.
        self._restarted = restarted
        # Faults whose time has come and that wait for their cue.
        self._waiting: list[Fault] = []
        # What is still to be undone, in order of striking.
        self._undo: list[Callable[[], None]] = []
        self._over = False
        # How many faults of each kind struck.
        self.struck: Counter[str] = Counter()
        start = world.now
        for fault in faults:
            world.agenda.at(start + fault.at_ms, self._due, fault)
        world.watch(self)

    def finish(self) -> None:
        """The faults are over: whatever is still broken is mended, and the dead are started."""
        self._over = True
        while self._undo:
            self._undo.pop(0)()
        for host in self._world.hosts:
            host.dies_after = None
            self._start(host)

    # --- cues

    def says(self, host: Host, message: Message, links: tuple[LinkId, ...]) -> None:  # noqa: ARG002
        body = message.body
        if isinstance(body, Fail):
            self._cue("fail")
        elif isinstance(body, FailoverAuthRequest):
            self._cue("request")
        elif isinstance(body, FailoverAuthAck):
            self._cue("vote")

    def does(self, host: Host, effect: Effect) -> None:  # noqa: ARG002
        if isinstance(effect, BecomeMaster):
            self._cue("win")

    def _cue(self, name: str) -> None:
        ready = [fault for fault in self._waiting if fault.cue == name]
        for fault in ready:
            self._waiting.remove(fault)
            # Not within the step: what it says is said.
            self._world.agenda.at(self._world.now, self._strike, fault)

    def _due(self, fault: Fault) -> None:
        if fault.cue:
            self._waiting.append(fault)
        else:
            self._strike(fault)

    # --- striking

    def _strike(self, fault: Fault) -> None:
        if self._over:
            return
        world = self._world
        victims = [world[name] for name in fault.who]
        undo = getattr(self, f"_{fault.kind}")(fault, victims)
        if undo is None:
            return
        self.struck[fault.kind] += 1
        self._undo.append(undo)
        world.agenda.at(world.now + fault.lasts_ms, self._mend, undo)

    def _mend(self, undo: Callable[[], None]) -> None:
        if undo in self._undo:
            self._undo.remove(undo)
            undo()

    def _kill(self, fault: Fault, victims: list[Host]) -> Callable[[], None] | None:  # noqa: ARG002
        [host] = victims
        if not host.alive:
            return None
        self._world.kill(host)
        return lambda: self._start(host)

    def _power(self, fault: Fault, victims: list[Host]) -> Callable[[], None] | None:  # noqa: ARG002
        [host] = victims
        if not host.alive:
            return None
        self._world.power_off(host)
        return lambda: self._start(host)

    def _torn(self, fault: Fault, victims: list[Host]) -> Callable[[], None] | None:  # noqa: ARG002
        [host] = victims
        if not host.alive or host.dies_after is not None:
            return None

        def dies(effect: Effect) -> bool:
            said = effect.message.body if isinstance(effect, Send | Broadcast) else effect
            if not isinstance(said, FailoverAuthAck | FailoverAuthRequest | BecomeMaster):
                return False
            self._world.power_off(host)
            return True

        def mend() -> None:
            host.dies_after = None
            self._start(host)

        host.dies_after = dies
        return mend

    def _start(self, host: Host) -> None:
        if not host.alive:
            self._restarted(host)
            self._world.restart(host)

    def _pause(self, fault: Fault, victims: list[Host]) -> Callable[[], None] | None:  # noqa: ARG002
        [host] = victims
        if not host.running:
            return None
        self._world.pause(host)
        return lambda: self._world.resume(host)

    def _partition(self, fault: Fault, victims: list[Host]) -> Callable[[], None] | None:
        others = [host for host in self._world.hosts if host not in victims]
        return self._cut_off(between(victims, others, one_way=fault.one_way))

    _isolate = _partition

    def _cut(self, fault: Fault, victims: list[Host]) -> Callable[[], None] | None:
        return self._cut_off(between(victims[:1], victims[1:], one_way=fault.one_way))

    def _cut_off(self, directions: list[Direction]) -> Callable[[], None] | None:
        if not directions:
            return None
        self._world.cut(directions)
        return lambda: self._world.heal(directions)

    def _slow(self, fault: Fault, victims: list[Host]) -> Callable[[], None] | None:
        directions = between(victims[:1], victims[1:], one_way=fault.one_way)
        self._world.slow(directions, fault.amount)
        return lambda: self._world.slow(directions, 0.0)

    def _loss(self, fault: Fault, victims: list[Host]) -> Callable[[], None] | None:  # noqa: ARG002
        weather = self._world.network.weather
        before = (weather.loss, weather.duplication, weather.reordering)
        weather.loss = weather.duplication = weather.reordering = fault.amount

        def clear() -> None:
            weather.loss, weather.duplication, weather.reordering = before

        return clear

    def _takeover(self, fault: Fault, victims: list[Host]) -> Callable[[], None] | None:  # noqa: ARG002
        return self._order(victims[0], Failover(FailoverMode.TAKEOVER))

    def _failover(self, fault: Fault, victims: list[Host]) -> Callable[[], None] | None:  # noqa: ARG002
        return self._order(victims[0], Failover())

    def _order(self, host: Host, command: Failover) -> Callable[[], None] | None:
        return None if self._world.order(host, command) is None else lambda: None
