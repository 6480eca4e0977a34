"""One host: a cluster machine, the disk below it, and as much of the node around it as the rules can ask about.

Performs effects in their order. A process can be killed between two of them; its disk is then what the effects
before left there. Replication is a number that follows the master's: see `replication`.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from cluster import nodes_conf
from cluster.events import (
    Answer,
    BecomeMaster,
    Broadcast,
    CloseLink,
    Command,
    Dial,
    Effect,
    Event,
    FollowMaster,
    LinkDown,
    LinkId,
    LinkUp,
    LogLine,
    Operator,
    PauseWrites,
    Received,
    ReceivedDatagram,
    Save,
    Send,
    SendDatagram,
    Started,
    Tick,
    UnpauseWrites,
)
from cluster.machine import ClusterMachine
from cluster.membership import ClusterState, NodeEntry
from cluster.messages import Heartbeat, Message, MessageType
from cluster.safeguards import Safeguards
from cluster.settings import ClusterSettings
from runtime.log import Level
from sim.rules.agenda import Agenda
from sim.rules.network import End, Network
from sim.trace import Trace

if TYPE_CHECKING:
    from sim.rules.replication import Replication

# Unix time when a simulation begins: any will do, but always the same.
WALL_MS = 1_700_000_000_000.0
# For the trace: from whom, what, which kind, the sender's epochs and offset.
_BY_LINK = "%s %s %s %d/%d %d"
_BY_DATAGRAM = "%s datagram %s %s %d/%d %d"
_KINDS = {kind: kind.name for kind in MessageType}


class Watcher:
    """Who looks on: the invariants, or a benchmark. Looking must not change anything."""

    def takes(self, host: Host, event: Event) -> None:
        """An event is about to be taken."""

    def says(self, host: Host, message: Message, links: tuple[LinkId, ...]) -> None:
        """A message is about to leave on these links, or, with none, as a datagram."""

    def does(self, host: Host, effect: Effect) -> None:
        """An effect has just been performed."""

    def took(self, host: Host, event: Event) -> None:
        """The event was taken, and all its effects performed (or, at a crash, some)."""


class ConfFile:
    """nodes.conf: what a crash of the process leaves, and what a power cut leaves."""

    __slots__ = ("cached", "durable")

    def __init__(self, data: bytes) -> None:
        self.cached = self.durable = data

    def save(self, data: bytes, *, fsync: bool) -> None:
        self.cached = data
        if fsync:
            self.durable = data

    def lose_power(self) -> None:
        self.cached = self.durable


class Host:
    """One node and its machine."""

    def __init__(
        self,
        name: str,
        index: int,
        seed: int | str,
        settings: ClusterSettings,
        guards: Safeguards,
        agenda: Agenda,
        network: Network,
        trace: Trace,
    ) -> None:
        self.name = name
        self.index = index
        self.ip = settings.announce_ip
        self.settings = settings
        self.guards = guards
        self._agenda = agenda
        self._network = network
        self._trace = trace
        self._rng = Random(f"{seed} {name} rules")
        # What the network draws for what this host sends.
        self.chance = Random(f"{seed} {name} network")
        self.node_id = "".join(Random(f"{seed} {name} id").choices("0123456789abcdef", k=40))
        # None where nobody restarts nodes, and nodes.conf would only take time.
        self.conf: ConfFile | None = None
        self.replication: Replication | None = None
        # Whether the machine runs at all, whether the process does, and whether it is stopped (SIGSTOP).
        self.powered = self.alive = self.paused = False
        # What came while it was stopped.
        self.waiting: list[Event] = []
        # Its ends of links, by the machine's numbers.
        self.ends: dict[int, End] = {}
        # The number of the last link somebody else dialled.
        self.inbound = 0
        self._tick_at: float | None = None
        # Asked after each effect: kills the process right there, or returns False.
        self.dies_after: Callable[[Effect], bool] | None = None
        self.watchers: list[Watcher] = []
        # As the node around the machine has it: whom it replicates, and whether its clients may write.
        self.following: str | None = None
        self.offset = 0
        self.heard_master_at = 0.0
        self.writes_paused = False
        self.machine: ClusterMachine
        self._performers: dict[type, Callable[[Any], None]] = {
            Send: self._send,
            SendDatagram: self._send_datagram,
            Broadcast: self._broadcast,
            Dial: lambda effect: network.dial(self, effect.link, effect.ip),
            CloseLink: lambda effect: network.close(self, effect.link),
            Save: self._save,
            LogLine: self._log,
            FollowMaster: self._follow,
            BecomeMaster: self._promote,
            PauseWrites: self._pause_writes,
            UnpauseWrites: self._unpause_writes,
        }

    # --- Facts

    def replication_offset(self) -> int:
        return self.offset

    def master_silence_ms(self) -> float | None:
        if self.replication is None or self.replication.connected(self):
            return 0.0
        return self._agenda.now - self.heard_master_at

    def keys_in_slot(self, slot: int) -> int:  # noqa: ARG002 - there are no keys here
        return 0

    def dataset_empty(self) -> bool:
        return True

    # --- reading

    @property
    def running(self) -> bool:
        return self.alive and not self.paused

    @property
    def me(self) -> NodeEntry:
        return self.machine.state.myself

    @property
    def serving(self) -> int:
        """The slots whose keys a client could write here now."""
        if not self.running:
            return 0
        state = self.machine.state
        return state.myself.slots if state.ok and state.myself.is_master and not self.writes_paused else 0

    def next_inbound(self) -> int:
        """A number for a link somebody else dialled; never given twice."""
        self.inbound -= 1
        return self.inbound

    # --- running

    def start(self, state: ClusterState) -> None:
        """Begin a life of the process, with these tables."""
        self.machine = ClusterMachine(state, self.settings, self, self._rng, self.guards)
        self.powered = self.alive = True
        self.paused = False
        self._tick_at = None
        waiting, self.waiting = self.waiting, []
        for event in (Started(), *waiting):
            self.take(event)

    def take(self, event: Event) -> None:
        """Something happens to the process, now or when it runs again."""
        if self.paused:
            self.waiting.append(event)
        elif self.alive:
            self._perform(event)

    def order(self, command: Command) -> str:
        """An operator's command; returns the answer, raises Refused."""
        effects = self._perform(Operator(command))
        return next((effect.text for effect in effects if isinstance(effect, Answer)), "")

    def _perform(self, event: Event) -> list[Effect]:
        now = self._agenda.now
        self._note(event)
        for watcher in self.watchers:
            watcher.takes(self, event)
        effects = self.machine.step(now, now + WALL_MS, event)
        performers = self._performers
        for effect in effects:
            performer = performers.get(type(effect))
            if performer is not None:
                performer(effect)
            for watcher in self.watchers:
                watcher.does(self, effect)
            if self.dies_after is not None and self.dies_after(effect):
                break
        for watcher in self.watchers:
            watcher.took(self, event)
        if self.alive:
            self._set_timer()
        return effects

    def _note(self, event: Event) -> None:
        """An event in a word or two, for the trace."""
        note, name = self._trace.event, self.name
        match event:
            case Received(message=message) | ReceivedDatagram(message=message):
                header, body = message.header, message.body
                what = _BY_LINK if isinstance(event, Received) else _BY_DATAGRAM
                kind = _KINDS[body.kind] if isinstance(body, Heartbeat) else ""
                note(
                    name,
                    what,
                    header.sender[:8],
                    type(body).__name__,
                    kind,
                    header.current_epoch,
                    header.config_epoch,
                    header.offset,
                )
            case LinkUp(link=link) | LinkDown(link=link):
                note(name, f"{type(event).__name__} {link}")
            case Operator(command=command):
                note(name, repr(command))
            case _:
                note(name, type(event).__name__)

    def _set_timer(self) -> None:
        deadline = self.machine.deadline()
        if deadline is not None and (self._tick_at is None or deadline < self._tick_at):
            self._tick_at = deadline
            self._agenda.at(deadline, self._tick, self.machine, deadline)

    def _tick(self, machine: ClusterMachine, deadline: float) -> None:
        # A timer of an earlier life, or one that a nearer deadline has replaced.
        if machine is self.machine and self._tick_at == deadline:
            self._tick_at = None
            self.take(Tick())

    # --- effects

    def _send(self, effect: Send) -> None:
        self._say(effect.message, (effect.link,))
        self._network.send(self, effect.link, effect.message)

    def _broadcast(self, effect: Broadcast) -> None:
        self._say(effect.message, effect.links)
        for link in effect.links:
            self._network.send(self, link, effect.message)

    def _send_datagram(self, effect: SendDatagram) -> None:
        self._say(effect.message, ())
        self._network.datagram(self, effect.ip, effect.message)

    def _say(self, message: Message, links: tuple[LinkId, ...]) -> None:
        for watcher in self.watchers:
            watcher.says(self, message, links)

    def _save(self, effect: Save) -> None:
        if self.conf is not None:
            self.conf.save(nodes_conf.render(self.machine.state), fsync=effect.fsync)

    def _log(self, effect: LogLine) -> None:
        note = self._trace.tell if effect.level >= Level.NOTICE else self._trace.event
        note(self.name, effect.text)

    def _follow(self, effect: FollowMaster) -> None:
        self.following = effect.node_id

    def _promote(self, _effect: BecomeMaster) -> None:
        self.following = None

    def _pause_writes(self, _effect: PauseWrites) -> None:
        self.writes_paused = True

    def _unpause_writes(self, _effect: UnpauseWrites) -> None:
        self.writes_paused = False
