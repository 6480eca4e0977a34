"""Runs the machine in the running loop: feeds it events and time, performs its effects in order.

Owns the timer, and the rule that nothing which rests on a save leaves when the save failed: the machine hears of
the failure, and neither votes nor stands for election until a save succeeds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from runtime import Level, Log, Tasks
from runtime.settings import to_bytes
from runtime.tls import Context
from sentinel.config_file import ConfigFile
from sentinel.events import (
    Announce,
    Answer,
    Close,
    Crash,
    Effect,
    Event,
    Open,
    Resolve,
    Resolved,
    Save,
    Send,
    Tick,
    Unsaved,
)
from sentinel.links import Links
from sentinel.machine import SentinelMachine
from sentinel.settings import Memory

# The exit status that SENTINEL SIMULATE-FAILURE leads to.
CRASH_STATUS = 99


class Driver:
    """The machine's hands and ears."""

    __slots__ = (
        "_answer",
        "_draining",
        "_end",
        "_events",
        "_file",
        "_links",
        "_log",
        "_loop",
        "_machine",
        "_publish",
        "_resolving",
        "_tasks",
        "_timer",
        "_timer_at",
        "_unresolved",
    )

    def __init__(
        self,
        machine: SentinelMachine,
        file: ConfigFile,
        log: Log,
        tasks: Tasks,
        publish: Callable[[bytes, bytes], object],
        end: Callable[[int], None],
        tls: Callable[[], Context | None],
    ) -> None:
        self._machine = machine
        self._file = file
        self._log = log
        self._tasks = tasks
        # Delivers an event to the clients that subscribed to it.
        self._publish = publish
        # Ends the process at once.
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._links = Links(machine.knowledge.my_id, tasks, self.deliver, tls)
        # Events not yet taken: performing one step's effects may bring the next event about.
        self._events: deque[Event] = deque()
        self._draining = False
        # The last verdict on a question or command.
        self._answer = Answer()
        # Comes at the machine's deadline, or before.
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        # Names being looked up, and names that did not resolve last time.
        self._resolving: dict[str, None] = {}
        self._unresolved: dict[str, None] = {}

    def start(self) -> None:
        """Begin to watch. Raises OSError when the configuration file cannot be rewritten."""
        effects = self._machine.start(self._now_ms())
        assert isinstance(effects[0], Save), "the identity is on disk before anybody hears of it"
        self._save(effects[0].memory)
        self._perform(effects[1:])
        self._set_timer()

    def stop(self) -> None:
        """Close all links and want no more time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._links.close_all()

    def deliver(self, event: Event) -> None:
        """Take an event, after those that came before it."""
        self._events.append(event)
        if not self._draining:
            self._drain()

    def ask(self, event: Event) -> Answer:
        """Take a question or an operator's command, and return the verdict on it."""
        assert not self._draining, "commands come from clients, not from effects"
        self._answer = Answer()
        self.deliver(event)
        return self._answer

    def _drain(self) -> None:
        self._draining = True
        try:
            while self._events:
                self._perform(self._machine.step(self._now_ms(), self._events.popleft()))
        finally:
            self._draining = False
        self._set_timer()

    def _set_timer(self) -> None:
        """Nearly every event moves the deadline, mostly further away. A timer that comes too early is cheaper than
        a new one for every event."""
        deadline = self._machine.deadline()
        if self._timer is not None:
            if self._timer_at <= deadline:
                return
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_at(deadline / 1_000, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._now_ms() < self._machine.deadline():
            self._set_timer()
        else:
            self.deliver(Tick())

    def _now_ms(self) -> int:
        return int(self._loop.time() * 1_000)

    def _perform(self, effects: list[Effect]) -> None:
        unsaved = False
        for effect in effects:
            if isinstance(effect, Send):
                if not (unsaved and effect.request.rests_on_save):
                    self._links.send(effect.link, effect.request)
            elif isinstance(effect, Announce):
                self._announce(effect)
            elif isinstance(effect, Save):
                unsaved = not self._try_to_save(effect.memory)
            elif isinstance(effect, Answer):
                self._answer = Answer(error="ERR Failed to save config file. Check server logs.") if unsaved else effect
            elif isinstance(effect, Open):
                self._links.open(effect)
            elif isinstance(effect, Close):
                self._links.close(effect.link, effect.half)
            elif isinstance(effect, Resolve):
                self._resolve(effect.host)
            else:
                assert isinstance(effect, Crash)
                self._end(CRASH_STATUS)

    def _announce(self, event: Announce) -> None:
        self._log.line(event.level, f"{event.channel} {event.payload}")
        if event.level > Level.DEBUG:
            self._publish(to_bytes(event.channel), to_bytes(event.payload))

    def _save(self, memory: Memory) -> None:
        self._file.save(memory)
        self._log.notice("Sentinel new configuration saved on disk")

    def _try_to_save(self, memory: Memory) -> bool:
        try:
            self._save(memory)
        except OSError as error:
            reason = error.strerror or str(error)
            self._log.warning(f"WARNING: Sentinel was not able to save the new configuration on disk!!!: {reason}")
            self._events.append(Unsaved())
            return False
        return True

    def _resolve(self, host: str) -> None:
        if host not in self._resolving:
            self._resolving[host] = None
            self._tasks.start(f"resolve-{host}", self._look_up(host))

    async def _look_up(self, host: str) -> None:
        ip = await look_up(host)
        del self._resolving[host]
        if ip is not None:
            self._unresolved.pop(host, None)
        elif host not in self._unresolved:
            # Once, and not for as long as a container is stopped.
            self._unresolved[host] = None
            self._log.warning(f"Failed to resolve hostname '{host}'")
        self.deliver(Resolved(host, ip))


async def look_up(host: str) -> str | None:
    """The address that a name resolves to now, the first if several; None where it does not."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None)
    except OSError:
        return None
    return str(found[0][4][0]) if found else None
