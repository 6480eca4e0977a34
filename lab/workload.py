"""Concurrent clients that use registers, counters and sets, and record all they do: what the checkers judge.

Each client does one thing at a time, at random moments at a given rate, on keys that it shares with the others, drawn
from a stream of its own: the same seed asks for the same things in the same order, whatever the answers. Each value is
written once in a run, so that who reads it knows which write it saw. Besides the shared keys there are keys that are
written once and left alone: they count what a failover loses, which is overwritten elsewhere.

At the end everything is read once more (`read_everything`), which is when lost writes show. Time is the loop's, so that
a workload runs in a simulation as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from cluster.slots import key_slot
from lab.ask import NoAnswerError, ask
from lab.clients import Client, Refused, Unanswered
from lab.history import Kind, Outcome, Recorder, Value

# Between two looks at who is master, and between two tries of a final read.
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for, and how often."""

    seed: int = 1
    # Operations of each client per second, if it is answered at once.
    rate: float = 50.0
    # Shared keys of each kind in each group.
    registers: int = 2
    counters: int = 1
    sets: int = 0
    # Of all operations, how many write a key of their own.
    once: float = 0.3
    # Of the others, how many read.
    reads: float = 0.4
    # Elements that come and go in each set.
    elements: int = 10
    # A command without an answer for so long has an unknown outcome.
    timeout_s: float = 20.0


def tags(first: int, last: int, count: int) -> list[str]:
    """Some hash tags whose slots lie in the range: keys with one of them belong to whoever serves it."""
    found: list[str] = []
    number = 0
    while len(found) < count:
        tag = f"{{t{number}}}"
        if first <= key_slot(tag.encode()) <= last:
            found.append(tag)
        number += 1
    return found


class Workload:
    """The clients of one run. `groups` has, by its name, some hash tags of each group of keys."""

    def __init__(self, plan: Plan, groups: Mapping[str, Sequence[str]], recorder: Recorder) -> None:
        self._plan = plan
        self._groups = groups
        self._recorder = recorder
        self._shared = [
            (kind, f"{tag}:{kind}:{number}", group)
            for group, known in groups.items()
            for kind, count in (("register", plan.registers), ("counter", plan.counters), ("set", plan.sets))
            for number, tag in zip(range(count), _endless(known), strict=False)
        ]
        # Keys on which something was begun, in that order: (kind, group).
        self._touched: dict[str, tuple[str, str]] = {}
        # Those that nobody has begun to read at the end, once the reading has begun.
        self._unread: Iterator[tuple[str, tuple[str, str]]] | None = None

    async def run(self, clients: Sequence[Client], stop: asyncio.Event) -> None:
        """Let every client work until `stop` is set; each finishes what it has begun."""
        await asyncio.gather(*(self.work(process, client, stop) for process, client in enumerate(clients)))

    async def read_everything(self, clients: Sequence[Client], *, patience_s: float = 10.0) -> None:
        """Read every key that was used, until it is answered: the end of the history."""
        await asyncio.gather(
            *(self.read_share(process, client, patience_s=patience_s) for process, client in enumerate(clients))
        )

    async def read_share(self, process: int, client: Client, *, patience_s: float = 10.0) -> None:
        """One client's part in reading everything: it reads keys until none is left. All others must have stopped."""
        if client.replica:
            # What replicas say is not the end of anything.
            return
        loop = asyncio.get_running_loop()
        if self._unread is None:
            self._unread = iter(list(self._touched.items()))
        # The clients take the keys from one iterator: each key is read by whoever is free.
        for key, (kind, group) in self._unread:
            deadline = loop.time() + patience_s
            while not await self._do(process, client, kind, "read", key, None, group):
                if loop.time() > deadline:
                    break
                await asyncio.sleep(_POLL_S)

    async def work(self, process: int, client: Client, stop: asyncio.Event) -> None:
        """Let one client work until `stop` is set."""
        plan = self._plan
        rng = Random(f"{plan.seed}/{process}")
        number = 0
        while not await _is_set_within(stop, rng.expovariate(plan.rate)):
            number += 1
            once, reads = rng.random() < plan.once, rng.random() < plan.reads
            kind, key, group = rng.choice(self._shared)
            element = f"e{rng.randrange(plan.elements)}"
            if client.replica:
                await self._do(process, client, kind, "read", key, None, group)
            elif once:
                tag = rng.choice(self._groups[group])
                own = f"{tag}:once:{process}-{number}"
                await self._do(process, client, "register", "write", own, f"{process}-{number}", group)
            elif kind == "register":
                function = "read" if reads else "write"
                await self._do(process, client, kind, function, key, None if reads else f"{process}-{number}", group)
            elif kind == "counter":
                await self._do(process, client, kind, "read" if reads else "incr", key, None if reads else 1, group)
            else:
                function = rng.choice(("contains", "read")) if reads else rng.choice(("add", "remove"))
                await self._do(process, client, kind, function, key, None if function == "read" else element, group)

    async def _do(
        self, process: int, client: Client, kind: str, function: str, key: str, argument: Value, group: str
    ) -> bool:
        """Do one thing and record it; returns whether it was answered."""
        self._touched.setdefault(key, (kind, group))
        words = _COMMANDS[kind, function](key.encode(), str(argument).encode())
        number = self._recorder.begin(process, function, key, argument, group=group, replica=client.replica)
        try:
            async with asyncio.timeout(self._plan.timeout_s):
                reply = await client.execute(*words)
        except Refused as error:
            self._recorder.end(number, Outcome.FAIL, error=str(error))
        except Unanswered as error:
            self._recorder.end(number, Outcome.UNKNOWN, error=str(error))
        except TimeoutError:
            self._recorder.end(number, Outcome.UNKNOWN, error=f"no answer within {self._plan.timeout_s:g} s")
        else:
            self._recorder.end(number, Outcome.OK, _result(kind, function, reply))
            return True
        return False


_COMMANDS: dict[tuple[str, str], Callable[[bytes, bytes], tuple[bytes, ...]]] = {
    ("register", "read"): lambda key, _: (b"GET", key),
    ("register", "write"): lambda key, value: (b"SET", key, value),
    ("counter", "read"): lambda key, _: (b"GET", key),
    ("counter", "incr"): lambda key, by: (b"INCRBY", key, by),
    ("set", "read"): lambda key, _: (b"SMEMBERS", key),
    ("set", "contains"): lambda key, element: (b"SISMEMBER", key, element),
    ("set", "add"): lambda key, element: (b"SADD", key, element),
    ("set", "remove"): lambda key, element: (b"SREM", key, element),
}


def _result(kind: str, function: str, reply: Any) -> Value:
    """The reply as the history has it."""
    if function == "write":
        return None
    if kind == "counter":
        return int(reply or 0)
    if kind == "set":
        return sorted(element.decode() for element in reply) if function == "read" else bool(reply)
    return None if reply is None else str(reply.decode())


def _endless(known: Sequence[str]) -> Iterable[str]:
    while True:
        yield from known


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


async def watch_masters(
    nodes: Mapping[str, tuple[str, int]], groups: Mapping[str, int], recorder: Recorder, stop: asyncio.Event
) -> None:
    """Record a failover whenever a group's slot (one of each is enough) is seen to have another master. `nodes` are
    addresses by name. What is seen was so already; how long, the time between two looks bounds."""
    # The greatest epoch with which somebody claimed each group, and who.
    masters: dict[str, tuple[int, str]] = {}

    async def watch(name: str, address: tuple[str, int]) -> None:
        # Each by itself: a node that is frozen must not keep the others from being seen.
        while not await _is_set_within(stop, _POLL_S):
            epoch, ranges = await _served(address)
            for group, slot in groups.items():
                before = masters.get(group, (-1, ""))
                # An old master claims it too, until it hears of the greater epoch.
                if epoch > before[0] and any(first <= slot <= last for first, last in ranges):
                    masters[group] = epoch, name
                    if before[1] not in ("", name):
                        recorder.moment(Kind.FAILOVER, name, before[1], [group])

    await asyncio.gather(*(watch(name, address) for name, address in nodes.items()))


async def _served(address: tuple[str, int]) -> tuple[int, list[tuple[int, int]]]:
    """A node's own epoch and the slots that it serves in its own eyes; none when it does not answer."""
    try:
        (table,) = await ask(address, "CLUSTER NODES")
        words = next(words for line in table.splitlines() if "myself" in (words := line.split())[2])
    except (NoAnswerError, StopIteration, AttributeError):
        return -1, []
    ranges = [word.partition("-") for word in words[8:] if not word.startswith("[")]
    return int(words[6]), [(int(first), int(last or first)) for first, _, last in ranges]
