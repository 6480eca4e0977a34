"""Failovers, each with the fault that led to it: what losses and outages are measured against."""

from __future__ import annotations

from dataclasses import dataclass

from lab.history import History, Kind, Moment


@dataclass(frozen=True, slots=True)
class Failover:
    """A shard got another master."""

    # When that was seen.
    moment: Moment
    # The last fault of the group before it; None when there was none.
    fault: Moment | None

    @property
    def struck_at(self) -> float:
        """When it began: with the fault, or with itself."""
        return self.moment.at if self.fault is None else self.fault.at


def failovers(history: History, group: str) -> list[Failover]:
    """The failovers of a group, in order of time."""
    faults = history.of_kind(Kind.FAULT, group)
    return [
        Failover(moment, next((fault for fault in reversed(faults) if fault.at <= moment.at), None))
        for moment in history.of_kind(Kind.FAILOVER, group)
    ]
