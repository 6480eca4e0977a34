"""The sentinel as a pure machine: events in, effects out, no socket and no clock.

`step` runs the rules of the masters an event concerns: first the rounds (links, PING, INFO, hello), then,
unless in TILT, the judgements (SDOWN, ODOWN, election, failover). After it, `deadline` says when the next
`Tick` is wanted; it comes from the rules themselves, so a master that dies is noticed when its time is up and not at
the next poll.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from sentinel.address import Address
from sentinel.attention import changes_nothing, forget_notes, is_calm, look_at_some
from sentinel.down import ask_others, check_odown, check_sdown, take_verdict
from sentinel.election import vote
from sentinel.events import (
    Answer,
    Answered,
    Asked,
    Connected,
    Disconnected,
    Effect,
    Event,
    Flush,
    ForceFailover,
    Heard,
    Monitor,
    Reconfigure,
    ReconfigureSelf,
    Remove,
    Reset,
    Resolved,
    Save,
    SimulateFailure,
    Tick,
    Told,
    Unsaved,
)
from sentinel.failover import advance, begin, start_if_needed
from sentinel.hello import take_hello
from sentinel.info import take_cluster_nodes, take_info
from sentinel.instances import DataInstance, Master, Peer, Replica
from sentinel.knowledge import Knowledge, all_instances
from sentinel.monitoring import make_rounds, slack, take_pong
from sentinel.periods import Periods
from sentinel.requests import AskDown, ClusterNodes, Info, Ping, Publish
from sentinel.roster import monitor, reconfigure, reconfigure_self, remove, reset, resolve
from sentinel.safeguards import SentinelSafeguards
from sentinel.selection import acting_master, best_replica
from sentinel.settings import Memory
from sentinel.step import Step
from sentinel.tilt import Tilt

# How long after a failed save it is tried again.
SAVE_RETRY_MS = 1_000


class SentinelMachine:
    """One sentinel's mind."""

    __slots__ = ("_random", "_retry_save_at", "knowledge", "periods", "safeguards", "tilt")

    def __init__(
        self, memory: Memory, now_ms: int, *, port: int, random: Random, requirepass: str | None = None
    ) -> None:
        self.periods = Periods()
        # All on, unless a simulation or a lesson takes one away.
        self.safeguards = SentinelSafeguards()
        self.knowledge = Knowledge(memory, port, requirepass, now_ms)
        self.tilt = Tilt(now_ms)
        self._random = random
        # When to try again to save what could not be saved.
        self._retry_save_at: int | None = None

    def start(self, now_ms: int) -> list[Effect]:
        """What a sentinel does first: have its identity on disk, and say what it watches."""
        step = self._step(now_ms)
        step.save()
        for master in self.knowledge.masters.values():
            step.warn("+monitor", master, master, f" quorum {master.options.quorum}")
        return self._finish(step, list(self.knowledge.masters.values()))

    def step(self, now_ms: int, event: Event) -> list[Effect]:
        """Take one event; returns what is to be done, in order."""
        step = self._step(now_ms)
        self.tilt.observe(step)
        concerned = self._take(step, event)
        return self._finish(step, concerned)

    def deadline(self) -> int:
        """When the next `Tick` is wanted."""
        earliest = self.tilt.next_tick_at()
        for master in self.knowledge.masters.values():
            if master.wake_at is not None and master.wake_at < earliest:
                earliest = master.wake_at
        return earliest

    def _step(self, now: int) -> Step:
        return Step(now, self.knowledge, self.periods, self._random, self.safeguards)

    def _take(self, step: Step, event: Event) -> list[Master]:
        """Learn from the event; returns the masters whose rules are to run."""
        kind = type(event)
        concerned: list[Master] = _HANDLERS[kind](self, step, event)
        if kind not in _USUAL or step.effects or step.saving:
            # It may have changed anything about them.
            for master in concerned:
                forget_notes(master)
        return concerned

    def _finish(self, step: Step, concerned: list[Master]) -> list[Effect]:
        for master in concerned:
            if self.knowledge.masters.get(master.name) is master:
                step.wake_at = None
                self._run_rules(step, master)
                master.wake_at = step.wake_at
        if self._retry_save_at is not None and step.now >= self._retry_save_at:
            step.save()
        if step.saving:
            self.knowledge.durable = True
            self._retry_save_at = None
            return [Save(self.knowledge.remembered()), *step.effects]
        return step.effects

    def _run_rules(self, step: Step, master: Master) -> None:
        may_judge = self.tilt.may_judge(step)
        if may_judge and look_at_some(step, master):
            return
        forget_notes(master)
        make_rounds(step, master)
        if not may_judge:
            return
        for instance in list(all_instances(master)):
            check_sdown(step, master, instance)
        check_odown(step, master)
        began = start_if_needed(step, master)
        if began:
            ask_others(step, master, at_once=True)
        before = master.address
        if self.knowledge.durable:
            advance(step, master)
        ask_others(step, master)
        if master.address is not before or began:
            # New links are to be opened, and new periods begin, without waiting for the next event.
            make_rounds(step, master)

    # Events of links.

    def _tick(self, step: Step, _event: Tick) -> list[Master]:
        return [
            master
            for master in self.knowledge.masters.values()
            if master.wake_at is None or master.wake_at <= step.now + slack(step, master)
        ]

    def _connected(self, step: Step, event: Connected) -> list[Master]:
        link = self.knowledge.links.get(event.link)
        if link is None:
            return []
        link.connected(event.half, step.now)
        link.local_ip = event.local_ip
        return self._masters_on(event.link)

    def _disconnected(self, _step: Step, event: Disconnected) -> list[Master]:
        link = self.knowledge.links.get(event.link)
        if link is None:
            return []
        link.disconnected(event.half)
        return self._masters_on(event.link)

    def _answered(self, step: Step, event: Answered) -> list[Master]:
        link = self.knowledge.links.get(event.link)
        owner = self.knowledge.owner(event.link)
        if link is None or owner is None:
            return []
        master, instance = owner
        request, reply = event.request, event.reply
        # Nine in ten: an answer to PING from one that has been up, is well, and goes on being asked.
        usual = isinstance(request, Ping | Publish) and link.judged_from <= step.now and link.accepts_periodic
        link.answered(step.now)
        if isinstance(request, Ping):
            take_pong(step, master, instance, reply)
            usual = usual and link.silent_since is None
        elif isinstance(request, Info) and isinstance(instance, DataInstance):
            take_info(step, master, instance, reply, tilt=self.tilt.active)
        elif isinstance(request, ClusterNodes) and isinstance(instance, Replica):
            take_cluster_nodes(instance, reply)
        elif isinstance(request, AskDown):
            self._take_verdict(step, event.link, request, reply)
        if usual and self.tilt.may_judge(step) and changes_nothing(step, self.knowledge.users[event.link]):
            return []
        return self._masters_on(event.link)

    def _take_verdict(self, step: Step, number: int, request: AskDown, reply: object) -> None:
        """The answer concerns the master asked about, if that is still where it was."""
        for master, instance in self.knowledge.users[number]:
            about = (master.address.ip or master.address.host, master.address.port)
            if isinstance(instance, Peer) and master.name == request.master and about == (request.ip, request.port):
                take_verdict(step, instance, reply)

    def _heard(self, step: Step, event: Heard) -> list[Master]:
        link = self.knowledge.links.get(event.link)
        if link is None:
            return []
        link.pubsub.heard_at = step.now
        return self._hello(step, event.hello)

    def _hello(self, step: Step, text: str) -> list[Master]:
        """Nearly every hello says what is known, and nothing follows from it."""
        master = take_hello(step, text)
        if master is None or (is_calm(master) and not step.effects and not step.saving):
            return []
        return [master]

    def _masters_on(self, number: int) -> list[Master]:
        """Those that use a link on which something has happened."""
        users = self.knowledge.users.get(number, ())
        for _, instance in users:
            instance.watch_at = 0
        return list({master.name: master for master, _ in users}.values())

    # Events from other sentinels.

    def _told(self, step: Step, event: Told) -> list[Master]:
        return self._hello(step, event.hello)

    def _asked(self, step: Step, event: Asked) -> list[Master]:
        """Answer for the master at that address; the vote, if any, is part of the answer."""
        master = self.knowledge.master_at(event.ip, event.port)
        if master is None:
            step.effects.append(Answer((0, "*", 0)))
            return []
        down = int(master.sdown and not self.tilt.active)
        if event.candidate == "*" or not self.knowledge.durable:
            step.effects.append(Answer((down, "*", 0)))
            return []
        vote(step, master, event.candidate, event.epoch)
        step.effects.append(Answer((down, master.leader or "*", master.leader_epoch)))
        return [master]

    # Events from here.

    def _unsaved(self, step: Step, _event: Unsaved) -> list[Master]:
        self.knowledge.durable = False
        self._retry_save_at = step.now + SAVE_RETRY_MS
        return []

    def _flush(self, step: Step, _event: Flush) -> list[Master]:
        step.save()
        return []

    def _simulate(self, _step: Step, event: SimulateFailure) -> list[Master]:
        self.knowledge.crash_after_election = event.crash_after_election
        self.knowledge.crash_after_promotion = event.crash_after_promotion
        return []

    def _force_failover(self, step: Step, event: ForceFailover) -> list[Master]:
        master = self.knowledge.masters[event.name]
        if master.failover is not None:
            step.effects.append(Answer(error="INPROG Failover already in progress"))
            return []
        if acting_master(step, master) is None and best_replica(step, master) is None:
            step.effects.append(Answer(error="NOGOODSLAVE No suitable replica to promote"))
            return []
        begin(step, master, forced=True)
        step.effects.append(Answer())
        return [master]

    def _resolved(self, step: Step, event: Resolved) -> list[Master]:
        return resolve(step, event.host, event.ip)

    def _monitor(self, step: Step, event: Monitor) -> list[Master]:
        return [monitor(step, event, Address(event.host, event.ip, event.port))]

    def _remove(self, step: Step, event: Remove) -> list[Master]:
        remove(step, self.knowledge.masters[event.name])
        return []

    def _reset(self, step: Step, event: Reset) -> list[Master]:
        masters = [self.knowledge.masters[name] for name in event.names]
        for master in masters:
            reset(step, master)
        return masters

    def _reconfigure(self, step: Step, event: Reconfigure) -> list[Master]:
        master = self.knowledge.masters[event.name]
        reconfigure(step, master, event)
        return [master]

    def _reconfigure_self(self, step: Step, event: ReconfigureSelf) -> list[Master]:
        reconfigure_self(step, event)
        return []


_HANDLERS: dict[type[Any], Callable[[SentinelMachine, Step, Any], list[Master]]] = {
    Tick: SentinelMachine._tick,
    Connected: SentinelMachine._connected,
    Disconnected: SentinelMachine._disconnected,
    Answered: SentinelMachine._answered,
    Heard: SentinelMachine._heard,
    Told: SentinelMachine._told,
    Asked: SentinelMachine._asked,
    Resolved: SentinelMachine._resolved,
    Unsaved: SentinelMachine._unsaved,
    Monitor: SentinelMachine._monitor,
    Remove: SentinelMachine._remove,
    Reset: SentinelMachine._reset,
    Reconfigure: SentinelMachine._reconfigure,
    ReconfigureSelf: SentinelMachine._reconfigure_self,
    ForceFailover: SentinelMachine._force_failover,
    SimulateFailure: SentinelMachine._simulate,
    Flush: SentinelMachine._flush,
}
# Events that concern at most one link and the time.
_USUAL = frozenset((Tick, Connected, Disconnected, Answered, Heard, Told))
