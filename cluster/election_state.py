"""What a node remembers of a failover in progress: its own candidacy, and a manual failover it takes part in."""

from __future__ import annotations


class Candidacy:
    """A replica's attempt to be elected. Rules in `election`."""

    __slots__ = ("epoch", "hindrance", "hindrance_at", "rank", "requested", "start_at", "voters")

    def __init__(self) -> None:
        # When votes are, or were, to be asked for; None before the first attempt.
        self.start_at: float | None = None
        # How many replicas of the same master have newer data.
        self.rank = 0
        # Whether votes have been asked for, in which epoch, and who has given one.
        self.requested = False
        self.epoch = 0
        self.voters: dict[str, None] = {}
        # Why there is no election, and when that was last logged.
        self.hindrance = ""
        self.hindrance_at: float | None = None


class ManualFailover:
    """CLUSTER FAILOVER, on the replica that takes over and on the master that waits for it. Rules in
    `manual_failover`."""

    __slots__ = ("end_at", "master_offset", "ready", "replica_id")

    def __init__(self) -> None:
        # When it is given up; None while there is none.
        self.end_at: float | None = None
        # On the replica: the final offset of its paused master, once told; and whether that has been reached.
        self.master_offset: int | None = None
        self.ready = False
        # On the master: the replica its clients are paused for.
        self.replica_id: str | None = None
