"""One step of the machine: what time it is, what is known, and what is to be done about it.

The rules are functions of a step and a master. They change the knowledge, append effects in order, and
say through `due` when they want to be asked again; so each rule states its period once, and the machine's
deadline is simply the earliest of what was not due yet.
"""

from __future__ import annotations

from random import Random

from runtime import Level
from sentinel.events import Announce, Effect, Send
from sentinel.instances import Instance, Master, Peer, Replica
from sentinel.knowledge import Knowledge
from sentinel.link import Link
from sentinel.periods import Periods
from sentinel.requests import Request
from sentinel.safeguards import SentinelSafeguards

_ALL = SentinelSafeguards()


class Step:
    """Handed through the rules of one step."""

    __slots__ = ("effects", "guards", "knowledge", "now", "periods", "random", "saving", "wake_at")

    def __init__(
        self,
        now: int,
        knowledge: Knowledge,
        periods: Periods,
        random: Random,
        guards: SentinelSafeguards = _ALL,
    ) -> None:
        self.now = now
        self.guards = guards
        self.knowledge = knowledge
        self.periods = periods
        self.random = random
        # What is to be done, in order.
        self.effects: list[Effect] = []
        # Whether something that must survive a restart has changed. One `Save`, put before all other effects of
        # the step, covers every change of it.
        self.saving = False
        # The earliest time a rule has asked to be run again.
        self.wake_at: int | None = None

    def due(self, at: int) -> bool:
        """Whether `at` has come; if not, the machine will wake for it."""
        if at <= self.now:
            return True
        if self.wake_at is None or at < self.wake_at:
            self.wake_at = at
        return False

    def elapsed(self, since: int | None, period: int) -> bool:
        """Whether more than `period` has passed since, or it never happened; if not, the machine will wake for it."""
        if since is None:
            return True
        # What `due` does, without a call: while all is well, most of a sentinel's time goes by here.
        at = since + period + 1
        if at <= self.now:
            return True
        if self.wake_at is None or at < self.wake_at:
            self.wake_at = at
        return False

    def send(self, link: Link, request: Request) -> None:
        link.pending += 1
        self.effects.append(Send(link.number, request))

    def save(self) -> None:
        self.saving = True

    def announce(self, level: Level, channel: str, payload: str) -> None:
        self.effects.append(Announce(level, channel, payload))

    def warn(self, channel: str, master: Master, instance: Instance, text: str = "") -> None:
        """Announce what an operator must hear of."""
        self.announce(Level.WARNING, channel, self.describe(master, instance) + text)

    def note(self, channel: str, master: Master, instance: Instance, text: str = "") -> None:
        self.announce(Level.NOTICE, channel, self.describe(master, instance) + text)

    def describe(self, master: Master, instance: Instance) -> str:
        """An instance as event payloads name it: kind, name, address, and whose it is."""
        shown = self.knowledge.shown
        home = f"{master.name} {shown(master.address)} {master.address.port}"
        if not isinstance(instance, (Replica, Peer)):
            return f"{instance.kind} {home}"
        host, port = shown(instance.address), instance.address.port
        name = instance.run_id if isinstance(instance, Peer) else f"{host}:{port}"
        return f"{instance.kind} {name} {host} {port} @ {home}"
