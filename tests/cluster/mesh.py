"""Several machines on an in-memory network in virtual time: what the scenario tests of the rules run on.

TCP holds what a cut stops and delivers it when the cut is healed, in order; datagrams are lost. A killed node's
links end at once, a paused node's events wait. Every message passes through the codec, so that a rule which relies
on something the wire does not carry fails here.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from random import Random
from typing import Any

from cluster import nodes_conf
from cluster.codec import decode, encode
from cluster.events import (
    AddSlots,
    Answer,
    BecomeMaster,
    Broadcast,
    CloseLink,
    Command,
    Dial,
    DropKeysInSlots,
    Effect,
    EmptyDataset,
    Event,
    FollowMaster,
    LinkDown,
    LinkUp,
    LogLine,
    Meet,
    Operator,
    PauseWrites,
    Received,
    ReceivedDatagram,
    Replicate,
    Save,
    Send,
    SendDatagram,
    SetConfigEpoch,
    Started,
    Tick,
    UnpauseWrites,
)
from cluster.machine import ClusterMachine, new_state
from cluster.membership import NodeEntry
from cluster.messages import Message
from cluster.safeguards import Safeguards
from cluster.settings import ClusterSettings
from cluster.slots import SLOTS, slot_set

LATENCY_MS = 1.0
WALL_MS = 1_700_000_000_000.0
TIMEOUT_MS = 2000


class Peer:
    """One node: its machine, its disk, and what the node around the machine would know."""

    def __init__(self, mesh: Mesh, name: str, index: int, settings: ClusterSettings, guards: Safeguards) -> None:
        self.mesh = mesh
        self.name = name
        self.ip = f"10.0.0.{index}"
        self.settings = settings
        self.guards = guards
        self.rng = Random(f"{mesh.seed} {name}")
        self.node_id = "".join(self.rng.choices("0123456789abcdef", k=40))
        self.shard_id = self.node_id[::-1]
        # nodes.conf as it would be after a power cut.
        self.disk: bytes | None = None
        self.alive = self.paused = False
        # Events that came while paused.
        self.waiting: list[Event] = []
        # Our number of a link -> (the other end, its number).
        self.links: dict[int, tuple[Peer, int]] = {}
        self.inbound = 0
        self.tick_at: float | None = None
        self.log: list[str] = []
        # Everything the machine caused, with its time.
        self.effects: list[tuple[float, Effect]] = []
        # Replication, keys and clients, as the node around the machine has them.
        self.offset = 0
        self.following: str | None = None
        self.heard_master_at = 0.0
        self.keys: dict[int, int] = {}
        self.writes_paused = False
        # A crash in the middle of a step, as soon as such an effect has been performed.
        self.crash_after: Callable[[Effect], bool] | None = None
        self.machine: ClusterMachine

    # Facts

    def replication_offset(self) -> int:
        return self.offset

    def master_link_up(self) -> bool:
        master = self._master()
        return master is not None and master.alive and self.mesh.reaches(self, master)

    def master_silence_ms(self) -> float | None:
        return 0.0 if self.master_link_up() else self.mesh.now - self.heard_master_at

    def keys_in_slot(self, slot: int) -> int:
        return self.keys.get(slot, 0)

    def dataset_empty(self) -> bool:
        return not self.keys

    def _master(self) -> Peer | None:
        return next((peer for peer in self.mesh.peers.values() if peer.node_id == self.following), None)

    # Reading

    @property
    def me(self) -> NodeEntry:
        return self.machine.state.myself

    @property
    def ok(self) -> bool:
        return self.machine.state.ok

    def entry(self, other: Peer) -> NodeEntry:
        """How this node sees another one."""
        return self.machine.state.nodes[other.node_id]

    def knows(self, other: Peer) -> bool:
        return other.node_id in self.machine.state.nodes

    def owner_of(self, slot: int) -> Peer | None:
        owner = self.machine.state.owner[slot]
        return None if owner is None else self.mesh.by_id(owner.id)

    def logged(self, text: str) -> bool:
        return any(text in line for line in self.log)

    # Acting

    def start(self) -> None:
        state = (
            new_state(self.node_id, self.shard_id) if self.disk is None else nodes_conf.parse(self.disk, self.mesh.now)
        )
        self.machine = ClusterMachine(state, self.settings, self, self.rng, self.guards)
        self.alive, self.paused, self.tick_at = True, False, None
        self.take(Started())

    def order(self, command: Command) -> str:
        """Give an operator's command; returns its answer, raises Refused."""
        effects = self._perform(Operator(command))
        return next(effect.text for effect in effects if isinstance(effect, Answer))

    def take(self, event: Event) -> None:
        if not self.alive:
            return
        if self.paused:
            self.waiting.append(event)
            return
        self._perform(event)

    def _perform(self, event: Event) -> list[Effect]:
        mesh = self.mesh
        effects = self.machine.step(mesh.now, mesh.now + WALL_MS, event)
        for effect in effects:
            self.effects.append((mesh.now, effect))
            self._do(effect)
            if self.crash_after is not None and self.crash_after(effect):
                self.crash_after = None
                mesh.kill(self)
                return effects
        if self.master_link_up():
            self.heard_master_at = mesh.now
        deadline = self.machine.deadline()
        if deadline is not None and (self.tick_at is None or deadline < self.tick_at):
            self.tick_at = deadline
            machine = self.machine
            mesh.at(deadline, lambda: self._tick(machine, deadline))
        return effects

    def _tick(self, machine: ClusterMachine, deadline: float) -> None:
        if machine is self.machine and self.tick_at == deadline:
            self.tick_at = None
            self.take(Tick())

    def _do(self, effect: Effect) -> None:
        mesh = self.mesh
        match effect:
            case Dial(link=link, ip=ip):
                mesh.dial(self, link, ip)
            case CloseLink(link=link):
                mesh.close(self, link)
            case Send(link=link, message=message):
                mesh.transmit(self, link, message)
            case Broadcast(links=links, message=message):
                for link in links:
                    mesh.transmit(self, link, message)
            case SendDatagram(ip=ip, port=port, message=message):
                mesh.datagram(self, ip, port, message)
            case Save():
                self.disk = nodes_conf.render(self.machine.state)
            case LogLine(text=text):
                self.log.append(text)
            case FollowMaster(node_id=node_id, unrelated=unrelated):
                self.following = node_id
                master = self._master()
                if master is not None:
                    self.offset = 0 if unrelated else master.offset
            case BecomeMaster():
                self.following = None
            case EmptyDataset():
                self.keys.clear()
            case DropKeysInSlots(slots=slots):
                for slot in slots:
                    del self.keys[slot]
            case PauseWrites():
                self.writes_paused = True
            case UnpauseWrites():
                self.writes_paused = False
            case _:
                pass


class Mesh:
    """The world: virtual time, the network between the peers, and faults."""

    def __init__(self, seed: int = 1, *, datagrams: bool = True) -> None:
        self.seed = seed
        self.datagrams = datagrams
        self.now = 0.0
        self.peers: dict[str, Peer] = {}
        self.chance = Random(f"{seed} network")
        # Part of the datagrams that get lost.
        self.datagram_loss = 0.0
        self.datagrams_sent = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        # Directions that are cut, and what TCP holds for them.
        self._cuts: dict[tuple[str, str], list[Callable[[], None]]] = {}

    def add(self, name: str, guards: Safeguards | None = None, **settings: Any) -> Peer:
        """A new node, started."""
        index = len(self.peers) + 1
        chosen: dict[str, Any] = {"node_timeout_ms": TIMEOUT_MS, "datagram_heartbeats": self.datagrams, **settings}
        peer = Peer(
            self,
            name,
            index,
            ClusterSettings(port=7000, bus_port=17000, announce_ip=f"10.0.0.{index}", **chosen),
            guards or Safeguards(),
        )
        self.peers[name] = peer
        peer.start()
        return peer

    def by_id(self, node_id: str) -> Peer:
        return next(peer for peer in self.peers.values() if peer.node_id == node_id)

    # Time

    def at(self, moment: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (max(moment, self.now), next(self._numbers), action))

    def run(self, duration_ms: float) -> None:
        end = self.now + duration_ms
        while self._events and self._events[0][0] <= end:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = end

    def until(self, condition: Callable[[], bool], limit_ms: float = 30_000) -> float:
        """Run until the condition holds; returns how long it took. Fails after `limit_ms`."""
        start = self.now
        while not condition():
            assert self.now - start < limit_ms, "not within the time limit:\n" + self.describe()
            self.run(10)
        return self.now - start

    def describe(self) -> str:
        lines = []
        for peer in self.peers.values():
            lines.append(f"--- {peer.name}{'' if peer.alive else ' (dead)'} at {self.now} ok={peer.ok}")
            lines.append(nodes_conf.render(peer.machine.state).decode())
            lines += peer.log[-8:]
        return "\n".join(lines)

    # Network

    def reaches(self, a: Peer, b: Peer) -> bool:
        return (a.name, b.name) not in self._cuts

    def dial(self, peer: Peer, link: int, ip: str) -> None:
        other = next((other for other in self.peers.values() if other.ip == ip), None)

        def connect() -> None:
            if other is None or not other.alive:
                peer.take(LinkDown(link))
                return
            other.inbound -= 1
            peer.links[link] = (other, other.inbound)
            other.links[other.inbound] = (peer, link)
            peer.take(LinkUp(link))

        if other is None or self.reaches(peer, other):
            self.at(self.now + LATENCY_MS, connect)
        # Otherwise nobody answers the SYN, and the machine gives up by itself.

    def close(self, peer: Peer, link: int) -> None:
        ends = peer.links.pop(link, None)
        if ends is not None:
            other, other_link = ends
            self._deliver(peer, other, lambda: self._closed(other, other_link))

    def _closed(self, peer: Peer, link: int) -> None:
        if peer.links.pop(link, None) is not None:
            peer.take(LinkDown(link))

    def transmit(self, peer: Peer, link: int, message: Message) -> None:
        ends = peer.links.get(link)
        if ends is None:
            return
        other, other_link = ends
        data = encode(message)

        def arrive() -> None:
            if other_link in other.links:
                other.take(Received(other_link, decode(data), peer.ip, other.ip))

        self._deliver(peer, other, arrive)

    def _deliver(self, peer: Peer, other: Peer, action: Callable[[], None]) -> None:
        held = self._cuts.get((peer.name, other.name))
        if held is not None:
            held.append(action)
        else:
            self.at(self.now + LATENCY_MS, action)

    def datagram(self, peer: Peer, ip: str, port: int, message: Message) -> None:
        assert port == 17000, port
        self.datagrams_sent += 1
        other = next((other for other in self.peers.values() if other.ip == ip), None)
        if other is None or not self.reaches(peer, other) or self.chance.random() < self.datagram_loss:
            return
        data = encode(message)
        self.at(self.now + LATENCY_MS, lambda: other.take(ReceivedDatagram(decode(data), peer.ip, 17000, other.ip)))

    # Faults

    def kill(self, peer: Peer) -> None:
        """SIGKILL: peers see their links end."""
        peer.alive = False
        peer.waiting.clear()
        for link in list(peer.links):
            self.close(peer, link)

    def restart(self, peer: Peer) -> None:
        if peer.alive:
            self.kill(peer)
        peer.start()

    def pause(self, peer: Peer) -> None:
        peer.paused = True

    def resume(self, peer: Peer) -> None:
        peer.paused = False
        waiting, peer.waiting = peer.waiting, []
        for event in waiting:
            peer.take(event)

    def cut(self, side: list[Peer], other_side: list[Peer]) -> None:
        """Nothing passes between the two sides, in either direction."""
        for a in side:
            for b in other_side:
                self._cuts.setdefault((a.name, b.name), [])
                self._cuts.setdefault((b.name, a.name), [])

    def heal(self) -> None:
        cuts, self._cuts = self._cuts, {}
        for held in cuts.values():
            for action in held:
                self.at(self.now + LATENCY_MS, action)

    # Building

    def form(self, masters: int = 3, replicas: int = 1, guards: Safeguards | None = None, **settings: Any) -> None:
        """A whole cluster as redis-cli makes it: masters m0, m1…, replicas r0 of m0, r1 of m1…, then a second round."""
        for i in range(masters):
            peer = self.add(f"m{i}", guards, **settings)
            first, last = i * SLOTS // masters, (i + 1) * SLOTS // masters
            peer.order(AddSlots(tuple(range(first, last))))
            peer.order(SetConfigEpoch(i + 1))
        for i in range(masters * replicas):
            self.add(f"r{i}", guards, **settings).order(SetConfigEpoch(masters + i + 1))
        peers = list(self.peers.values())
        for peer in peers[1:]:
            peer.order(Meet(peers[0].ip, 7000))
        self.until(lambda: all(a.knows(b) for a in peers for b in peers))
        for i in range(masters * replicas):
            self.peers[f"r{i}"].order(Replicate(self.peers[f"m{i % masters}"].node_id))
        self.until(self.settled)

    def settled(self) -> bool:
        """Every living node is ok and has the same tables."""
        living = [peer for peer in self.peers.values() if peer.alive]
        return all(peer.ok for peer in living) and len({str(self._layout(peer)) for peer in living}) == 1

    def _layout(self, peer: Peer) -> list[tuple[str, bool, str | None, int]]:
        return sorted(
            (node.id, node.is_master, None if node.master is None else node.master.id, hash(node.slots))
            for node in peer.machine.state.nodes.values()
        )

    def masters_claiming(self, slot: int) -> list[Peer]:
        """The living nodes that would take a write to this slot now: more than one is a split brain."""
        return [
            peer
            for peer in self.peers.values()
            if peer.alive and not peer.paused and peer.machine.view.owned[slot] and not peer.writes_paused
        ]

    def check(self) -> None:
        """Every table is consistent in itself."""
        for peer in self.peers.values():
            if peer.alive:
                peer.machine.state._check()


def slots_of(peer: Peer) -> int:
    """The slots a node believes to be its own."""
    return peer.me.slots


ALL = slot_set(range(SLOTS))
