"""Several sentinel machines and the instances they watch, in memory and in virtual time.

The driver performs effects as `sentinel.links` does: a link is up while both ends live and can reach each
other, everything takes one millisecond each way. Instances are as dumb as can be: a role, whom they follow, an offset.
What the sentinels announce is kept in one list, as (time, sentinel, channel, payload).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

from sentinel.events import (
    Announce,
    Answer,
    Answered,
    Asked,
    Close,
    Connected,
    Crash,
    Disconnected,
    Effect,
    Event,
    Half,
    Heard,
    Open,
    Resolve,
    Resolved,
    Save,
    Send,
    Tick,
    Told,
    Unsaved,
)
from sentinel.machine import SentinelMachine
from sentinel.requests import AskDown, ClusterNodes, Follow, Info, KillScript, Ping, Publish, Request, TakeOver
from sentinel.settings import MasterMemory, MasterOptions, Memory

HOP_MS = 1
NAME = "shard1"


class Redis:
    """A master or replica."""

    def __init__(self, world: World, port: int, follows: int | None = None, *, cluster: bool = False) -> None:
        self.world = world
        self.port = port
        self.follows = follows
        self.cluster = cluster
        self.alive = True
        self.frozen = False
        self.offset = 1000
        self.priority = 100
        self.run_id = f"{port:040d}"
        self.serves_slots = follows is None
        self.link_down_seconds = 0
        # Requests that changed something, in order.
        self.orders: list[Request] = []
        # Who listens to the hello channel: sentinel and link.
        self.listeners: list[tuple[Sentinel, int]] = []

    def answer(self, request: Request) -> object:
        if isinstance(request, Ping):
            return b"PONG"
        if isinstance(request, Info):
            return self.info()
        if isinstance(request, Publish):
            for sentinel, link in list(self.listeners):
                self.world.later(HOP_MS, lambda s=sentinel, n=link, h=request.hello: s.take(Heard(n, h)))
            return len(self.listeners)
        if isinstance(request, ClusterNodes):
            slots = " 0-16383" if self.serves_slots else ""
            return f"{self.run_id} 127.0.0.1:{self.port}@1 myself,master - 0 0 1 connected{slots}\n".encode()
        assert isinstance(request, (Follow, TakeOver, KillScript))
        self.orders.append(request)
        if isinstance(request, Follow):
            self.follows = request.port or None
        elif isinstance(request, TakeOver) and self.follows is not None:
            old = self.follows
            self.become_master()
            # The cluster bus tells the others.
            for other in self.world.redises.values():
                if other.follows == old or other.port == old:
                    other.follows, other.serves_slots = self.port, False
        return b"OK"

    def become_master(self) -> None:
        self.follows = None
        self.serves_slots = True

    def info(self) -> bytes:
        lines = [f"run_id:{self.run_id}", f"cluster_enabled:{int(self.cluster)}"]
        if self.follows is None:
            lines.append("role:master")
            replicas = [r for r in self.world.redises.values() if r.follows == self.port and r.alive]
            lines += [f"slave{n}:ip=127.0.0.1,port={r.port},state=online" for n, r in enumerate(replicas)]
        else:
            master = self.world.redises[self.follows]
            up = master.alive and not master.frozen
            lines += [
                "role:slave",
                "master_host:127.0.0.1",
                f"master_port:{self.follows}",
                f"master_link_status:{'up' if up else 'down'}",
                f"slave_priority:{self.priority}",
                f"slave_repl_offset:{self.offset}",
            ]
            if not up:
                lines.append(f"master_link_down_since_seconds:{self.link_down_seconds}")
        return "\r\n".join(lines).encode()


class Sentinel:
    """A machine and the driver around it."""

    def __init__(self, world: World, port: int, memory: Memory) -> None:
        self.world = world
        self.port = port
        self.name = f"S{port % 10}"
        self.alive = True
        self.frozen = False
        self.disk_full = False
        self.saved: list[Memory] = []
        self.links: dict[tuple[int, Half], int] = {}
        self.answer: Answer | None = None
        self.machine = SentinelMachine(memory, world.now, port=port, random=Random(port))
        self._ticking = 0

    def start(self) -> None:
        self.perform(self.machine.start(self.world.now))

    def take(self, event: Event) -> Answer | None:
        """One event, if this sentinel lives; returns the answer to a question."""
        if not self.alive:
            return None
        if self.frozen:
            self.world.frozen_events.append((self, event))
            return None
        self.answer = None
        self.perform(self.machine.step(self.world.now, event))
        return self.answer

    def perform(self, effects: list[Effect]) -> None:
        unsaved = False
        for effect in effects:
            if isinstance(effect, Save):
                unsaved = self.disk_full
                if not unsaved:
                    self.saved.append(effect.memory)
            elif isinstance(effect, Announce):
                self.world.log.append((self.world.now, self.name, effect.channel, effect.payload))
            elif isinstance(effect, Answer):
                self.answer = None if unsaved else effect
            elif isinstance(effect, Open):
                self._open(effect)
            elif isinstance(effect, Close):
                self._drop(effect.link, effect.half)
            elif isinstance(effect, Send):
                if not (unsaved and effect.request.rests_on_save):
                    self._send(effect.link, effect.request)
            elif isinstance(effect, Resolve):
                ip = self.world.names.get(effect.host)
                self.world.later(HOP_MS, lambda e=effect, ip=ip: self.take(Resolved(e.host, ip)))
            else:
                assert isinstance(effect, Crash)
                self.world.kill(self)
        if unsaved:
            self.perform(self.machine.step(self.world.now, Unsaved()))
        self._schedule()

    def _schedule(self) -> None:
        self._ticking += 1
        number = self._ticking
        wait = max(0, self.machine.deadline() - self.world.now)
        self.world.later(wait, lambda: self.take(Tick()) if number == self._ticking else None)

    def _open(self, order: Open) -> None:
        def outcome() -> None:
            target = self.world.at(order.port)
            if not self.world.connected(self, order.port):
                return self.world.later(
                    order.timeout_ms, lambda: self.take(Disconnected(order.link, order.half, "timed out"))
                )
            if target is None or not target.alive:
                self.take(Disconnected(order.link, order.half, "refused"))
                return None
            self.links[order.link, order.half] = order.port
            if order.half is Half.PUBSUB:
                assert isinstance(target, Redis)
                target.listeners.append((self, order.link))
            self.take(Connected(order.link, order.half, "127.0.0.1"))
            return None

        self.world.later(HOP_MS, outcome)

    def _drop(self, link: int, half: Half) -> None:
        port = self.links.pop((link, half), None)
        target = self.world.at(port) if port is not None else None
        if isinstance(target, Redis) and half is Half.PUBSUB:
            target.listeners = [entry for entry in target.listeners if entry != (self, link)]

    def _send(self, link: int, request: Request) -> None:
        port = self.links.get((link, Half.COMMAND))
        if port is not None:
            self.world.later(HOP_MS, lambda: self.world.deliver(self, link, port, request))

    def lost(self, port: int) -> None:
        """The process at that port died: its connections are reset."""
        for (link, half), target in list(self.links.items()):
            if target == port:
                self._drop(link, half)
                self.world.later(HOP_MS, lambda n=link, h=half: self.take(Disconnected(n, h, "reset")))


class World:
    def __init__(self) -> None:
        self.now = 1_000_000
        self.redises: dict[int, Redis] = {}
        self.sentinels: dict[int, Sentinel] = {}
        self.log: list[tuple[int, str, str, str]] = []
        # What names resolve to.
        self.names: dict[str, str] = {}
        # Pairs of ports that cannot reach each other.
        self.cuts: list[tuple[int, int]] = []
        self.frozen_events: list[tuple[Sentinel, Event]] = []
        self._queue: list[tuple[int, int, Callable[[], object]]] = []
        self._sequence = 0

    # Set-up.

    def redis(self, port: int, follows: int | None = None, *, cluster: bool = False) -> Redis:
        self.redises[port] = Redis(self, port, follows, cluster=cluster)
        return self.redises[port]

    def sentinel(self, port: int, memory: Memory) -> Sentinel:
        """A sentinel, started; at a port that had one it is a restart."""
        self.sentinels[port] = Sentinel(self, port, memory)
        self.sentinels[port].start()
        return self.sentinels[port]

    def shard(
        self, *, replicas: int = 2, sentinels: int = 3, quorum: int = 2, cluster: bool = False, down_after_ms: int = 500
    ) -> list[Sentinel]:
        """A master at 1, replicas from 2 on, sentinels from 91 on, and time for them to meet."""
        self.redis(1, cluster=cluster)
        for port in range(2, 2 + replicas):
            self.redis(port, 1, cluster=cluster)
        made = [
            self.sentinel(port, memory(port, quorum=quorum, down_after_ms=down_after_ms))
            for port in range(91, 91 + sentinels)
        ]
        self.run(1_000)
        return made

    # Time.

    def later(self, wait: int, do: Callable[[], object]) -> None:
        self._sequence += 1
        heapq.heappush(self._queue, (self.now + wait, self._sequence, do))

    def run(self, duration: int) -> None:
        """Let this many milliseconds pass."""
        self._run_to(self.now + duration, lambda: False)

    def run_until(self, condition: Callable[[], bool], limit: int = 60_000) -> int:
        """Let time pass until `condition` holds; returns how long that took."""
        began = self.now
        self._run_to(self.now + limit, condition)
        assert condition(), "it did not happen:\n" + "\n".join(map(str, self.log[-30:]))
        return self.now - began

    def _run_to(self, end: int, condition: Callable[[], bool]) -> None:
        while self._queue and self._queue[0][0] <= end and not condition():
            at, _, do = heapq.heappop(self._queue)
            self.now = max(self.now, at)
            do()
        if not condition():
            self.now = end

    # Faults.

    def kill(self, who: Redis | Sentinel) -> None:
        who.alive = False
        for sentinel in self.sentinels.values():
            sentinel.lost(who.port)
        for redis in self.redises.values():
            redis.listeners = [entry for entry in redis.listeners if entry[0] is not who]

    def restart(self, redis: Redis) -> None:
        redis.alive = True
        redis.run_id = redis.run_id[::-1]

    def freeze(self, sentinel: Sentinel, duration: int) -> None:
        """SIGSTOP for a while: its events wait."""
        sentinel.frozen = True

        def thaw() -> None:
            sentinel.frozen = False
            waiting = [event for who, event in self.frozen_events if who is sentinel]
            self.frozen_events = [entry for entry in self.frozen_events if entry[0] is not sentinel]
            for event in waiting:
                sentinel.take(event)

        self.later(duration, thaw)

    def cut(self, left: list[int], right: list[int]) -> None:
        """A partition: nothing passes between the two sides."""
        self.cuts += [(a, b) for a in left for b in right] + [(b, a) for a in left for b in right]

    def connected(self, sentinel: Sentinel, port: int) -> bool:
        return (sentinel.port, port) not in self.cuts

    # Delivery.

    def at(self, port: int) -> Redis | Sentinel | None:
        return self.redises.get(port) or self.sentinels.get(port)

    def deliver(self, sender: Sentinel, link: int, port: int, request: Request) -> None:
        target = self.at(port)
        if target is None or not target.alive or not self.connected(sender, port):
            return
        if target.frozen:
            return
        reply: object
        if isinstance(target, Redis):
            reply = target.answer(request)
        elif isinstance(request, AskDown):
            answer = target.take(Asked(request.ip, request.port, request.epoch, request.candidate))
            if answer is None or answer.value is None:
                return
            down, leader, epoch = answer.value
            reply = [down, leader.encode(), epoch]
        elif isinstance(request, Publish):
            target.take(Told(request.hello))
            reply = 1
        else:
            reply = b"PONG"
        self.later(HOP_MS, lambda: sender.take(Answered(link, request, reply)))

    # Questions tests ask.

    def heard(self, channel: str, sentinel: str | None = None) -> list[str]:
        return [text for _, who, what, text in self.log if what == channel and sentinel in (None, who)]

    def events(self, sentinel: str) -> list[str]:
        return [channel for _, who, channel, _ in self.log if who == sentinel]

    def master_port(self, sentinel: Sentinel) -> int:
        return sentinel.machine.knowledge.masters[NAME].address.port


def memory(
    port: int, *, quorum: int = 2, down_after_ms: int = 500, failover_timeout_ms: int = 5_000, parallel_syncs: int = 1
) -> Memory:
    """A new sentinel's memory: the master and nothing else."""
    options = MasterOptions(
        quorum=quorum,
        down_after_ms=down_after_ms,
        failover_timeout_ms=failover_timeout_ms,
        parallel_syncs=parallel_syncs,
    )
    master = MasterMemory(name=NAME, host="127.0.0.1", port=1, options=options)
    return Memory(my_id=f"{port:x}" * 20, masters=(master,))
