"""`shardlab sim`: the simulator, and for a single run the word of the checkers on what its clients saw.

The simulator's own invariants look at the nodes from above. `lab.check` knows only what clients were told, as it does
of a run of real processes: which acknowledged writes a last read did not find, which reads were out of date, and when
there was no service. Asynchronous replication promises none of these, so what is found is shown and judged by nobody.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence

from lab.check import availability, lost_writes, stale_reads
from lab.check.main import losses, service, staleness
from lab.check.verdict import Judgement, Limits
from lab.history import History, Kind, Moment, Outcome, Recorder, read
from sim import main as simulator
from sim.shape import Shape
from sim.trial import Verdict
from sim.world import World


def main(argv: Sequence[str]) -> int:
    """Run one command of the simulator; returns its exit status."""
    return simulator.main(argv, Witness)


class Witness:
    """Writes down what the clients of one run see (`sim.workload.Recorder`), and reports on it."""

    def __init__(self, world: World) -> None:
        self._text = io.StringIO()
        self._recorder = Recorder(self._text, lambda: world.loop.now, seed=str(world.seed))

    # ---- `sim.workload.Recorder`

    def begin(self, client: int, function: str, key: str, argument: str | int | None, group: str) -> int:
        return self._recorder.begin(client, function, key, argument, group=group)

    def ok(self, number: int, result: str | int | None, node: str) -> None:
        self._recorder.end(number, Outcome.OK, result, node=node)

    def refused(self, number: int, why: str) -> None:
        self._recorder.end(number, Outcome.FAIL, error=why)

    def unknown(self, number: int, why: str) -> None:
        self._recorder.end(number, Outcome.UNKNOWN, error=why)

    # ---- the word of the checkers

    def report(self, verdict: Verdict) -> Iterator[str]:
        """What the checkers found, as lines of text."""
        history = self.history(verdict)
        outcomes = Counter(operation.outcome for operation in history.operations)
        judgement = Judgement(
            faults=len(history.of_kind(Kind.FAULT)),
            failovers=len(history.of_kind(Kind.FAILOVER)),
            operations=outcomes,
            judged=outcomes.total() - outcomes[Outcome.FAIL],
            keys=[],
            lost=lost_writes.find(history),
            stale=stale_reads.count(history),
            service=availability.measure(history),
        )
        yield "what the clients saw:"
        for lines in (losses(judgement, Limits()), staleness(judgement), service(history, judgement)):
            yield from (f"  {line}" for line in lines)

    def history(self, verdict: Verdict) -> History:
        """All that was written down, with the faults that struck data nodes and the failovers that were seen."""
        recorded = read(io.StringIO(self._text.getvalue()))
        shape, began_at = verdict.plan.shape, verdict.began_at_s
        faults = [
            Moment(began_at + strike.at_s, Kind.FAULT, str(strike.kind), ",".join(strike.targets), shards)
            for strike in verdict.strikes
            if (shards := _shards(shape, (*strike.targets, *strike.others)))
        ]
        failovers = [Moment(at, Kind.FAILOVER, name, "", _shards(shape, [name])) for at, name in verdict.failovers]
        return History(recorded.operations, [*faults, *failovers], recorded.about)


def _shards(shape: Shape, names: Sequence[str]) -> tuple[str, ...]:
    """The groups that nodes with these names belong to."""
    numbers = {number: None for name in names if (number := shape.shard_of(name)) is not None}
    return tuple(f"shard-{number}" for number in sorted(numbers))
