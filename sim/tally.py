"""What the runs of a swarm amount to, shown as a bar while they go on and as a few lines in the end."""

from __future__ import annotations

import sys
from collections import Counter
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sim.faults import Kind
from sim.losses import Reason
from sim.trial import Verdict


class Tally:
    """A context: the bar is there while it is entered, where somebody sees it."""

    def __init__(self, total: int | None) -> None:
        # How many runs there will be, if that is known.
        self._bar = Progress(
            TextColumn("seeds"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
            transient=True,
        )
        self._task = self._bar.add_task("", total=total)
        self._runs = 0
        self._virtual_s = 0.0
        self._promotions = 0
        # Writes that were acknowledged and are gone, by why that is permitted; and the widest window of those that
        # were not replicated yet.
        self._lost: Counter[Reason] = Counter()
        self._window_max_s = 0.0
        self.acknowledged = 0
        self.struck: Counter[Kind] = Counter()

    def __enter__(self) -> Tally:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._bar.stop()

    def add(self, verdict: Verdict) -> None:
        """One more run is over."""
        self._runs += 1
        self._virtual_s += verdict.virtual_s
        self._promotions += len(verdict.failovers)
        self.acknowledged += verdict.operations[1]
        self.struck += verdict.struck
        for loss in verdict.losses:
            self._lost[loss.reason] += 1
            if loss.reason is Reason.NOT_REPLICATED and loss.window_s is not None:
                self._window_max_s = max(self._window_max_s, loss.window_s)
        told = f"{self._virtual_s / 3600:.2f} virtual hours, {self._promotions} promotions"
        self._bar.update(self._task, advance=1, description=told, refresh=True)

    def summary(self) -> str:
        """Lines for people."""
        faults = ", ".join(f"{self.struck[kind]} {kind}" for kind in Kind if self.struck[kind])
        lost = "".join(f"; {self._lost[reason]} {reason}" for reason in Reason if self._lost[reason])
        window = f", up to {self._window_max_s:.3f} s before its end" if self._lost[Reason.NOT_REPLICATED] else ""
        return (
            f"{self._runs} runs, {self._virtual_s / 3600:.2f} virtual hours, {self.acknowledged} operations "
            f"acknowledged, {self._promotions} promotions\n"
            f"lost: {sum(self._lost.values())} acknowledged writes{lost}{window}\n"
            f"faults: {faults or 'none'}\n"
        )
