"""What a scenario is performed on: the one thing in which the worlds differ.

`lab.chaos.processes` has the stage of real processes, `lab.chaos.simulated` that of the simulator; `lab.chaos.perform`
knows only what is here.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lab.chaos.events import Event, Line
from lab.faults import World
from lab.history import History
from runtime import Runtime
from runtime.tls import Context
from sim.faults import Strike

# A client's work: given the outside world and the nodes' addresses.
Program = Callable[[Runtime, Sequence[tuple[str, int]]], Coroutine[Any, Any, None]]


class Stage(Protocol):
    """A cluster that runs, in some world. Times are seconds of that world."""

    @property
    def names(self) -> dict[str, str]:
        """The seats by what log lines call them: `address port`, and ids."""
        ...

    @property
    def tls(self) -> Context | None:
        """What clients need to be let in; None where TLS is not spoken."""
        ...

    def now(self) -> float: ...

    def begin(self) -> None:
        """Now is the time from which lines count theirs."""
        ...

    def lines(self) -> list[Line]:
        """What the programs have said since the last call, in order of time."""
        ...

    def strike(self, strike: Strike) -> bool:
        """Do it to its targets, and say so as the nemesis; returns False when there was nothing to hurt."""
        ...

    def mend(self, strike: Strike) -> bool:
        """Undo it, and say so; returns False when it was not on."""
        ...

    def mend_all(self) -> None:
        """Have every program run."""
        ...

    def start_client(self, number: int, program: Program) -> None: ...

    async def clients_ended(self) -> None:
        """Return once every client's work is done."""
        ...

    async def missing(self) -> list[str]:
        """What keeps the cluster from being whole, as sentences."""
        ...

    def troubles(self) -> list[str]:
        """What went wrong that no fault explains: programs that ended by themselves, rules that were broken."""
        ...


@dataclass(slots=True)
class Recording:
    """What is left of a run: the evidence."""

    world: World
    seed: int
    # Seats by what log lines and errors call them: `address port`, and ids.
    names: dict[str, str] = field(default_factory=dict)
    # What the programs' log lines tell, in order of time; what clients saw is in the history.
    events: list[Event] = field(default_factory=list)
    history: History = field(default_factory=lambda: History([]))
    # The same as lines, for `shardlab check`.
    history_text: str = ""
    # Faults that found something to hurt.
    struck: int = 0
    # Who was master at the end, by shard.
    masters: dict[str, str] = field(default_factory=dict)
    # What must not have happened, whatever the scenario expects.
    troubles: list[str] = field(default_factory=list)
    # Where a real run has its files.
    folder: Path | None = None
