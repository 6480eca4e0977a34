"""What every rule holds in its hand during a step: the tables, the settings, the time, and the effects so far.

Rules are plain functions of a `Context`, grouped in modules by noun. They change the tables and `emit` effects at
once; a few things they only ask for, and the machine does them when the step ends, each at most once: saving,
judging the cluster's state, going on with a failover, telling everybody. (Redis' `clusterDoBeforeSleep` flags.)
"""

from __future__ import annotations

from random import Random

from cluster.election_state import Candidacy, ManualFailover
from cluster.events import Effect, Facts, LinkId, LogLine
from cluster.membership import ClusterState, NodeEntry
from cluster.safeguards import Safeguards
from cluster.settings import ClusterSettings
from runtime.log import Level

_HEX = "0123456789abcdef"


class Context:
    """One per machine, for its whole life."""

    __slots__ = (
        "announce",
        "candidacy",
        "effects",
        "facts",
        "followed",
        "guards",
        "has_served",
        "heard_directly",
        "held_for_failed",
        "judge_state",
        "last_minority_at",
        "link_nodes",
        "link_number",
        "manual",
        "mixed",
        "mixed_from",
        "now_ms",
        "rng",
        "save_wanted",
        "save_with_fsync",
        "serve_from",
        "settings",
        "stands_back",
        "started_at",
        "state",
        "told_failed_at",
        "try_failover",
        "unrelated",
        "waits_since",
        "why_down",
    )

    def __init__(
        self, state: ClusterState, settings: ClusterSettings, facts: Facts, rng: Random, guards: Safeguards
    ) -> None:
        self.state = state
        self.settings = settings
        self.facts = facts
        self.rng = rng
        self.guards = guards
        # The loop's time, taken once for the whole step.
        self.now_ms = 0.0
        # What the step has caused so far, in order.
        self.effects: list[Effect] = []

        # Asked for by rules, done at the end of the step.
        self.save_wanted = False
        self.save_with_fsync = False
        self.judge_state = False
        self.try_failover = False
        self.announce = False

        # The numbers of the other nodes in a random order, and the table they were taken from (`outgoing`).
        self.mixed: list[int] = []
        self.mixed_from: list[NodeEntry] | None = None
        # The number of the last outbound link, and the node at the other end of each link, either way.
        # A state may come with its links up: a simulation can start in the middle.
        self.link_nodes: dict[int, NodeEntry] = {
            link: node for node in state.nodes.values() for link in (node.link, node.inbound_link) if link is not None
        }
        self.link_number = max(self.link_nodes, default=0)
        # The master that replication was last told to follow: id, ip, port.
        self.followed: tuple[str, str, int] | None = None
        # What is here is no earlier state of what the master to follow has, which replication has not been told yet.
        self.unrelated = False
        # When the machine started, and the nodes that have answered a ping since.
        self.started_at: float | None = None
        self.heard_directly: dict[str, None] = {}
        # Whether somebody has said since then that this node is FAIL.
        self.held_for_failed = False
        # Whether this node has served its slots since it started, and whether it lets a replica take them over
        # (`comeback`).
        self.has_served = False
        self.stands_back = False
        # Since when it could have been replaced, and when it last told somebody, by link, that it has failed.
        self.waits_since: float | None = None
        self.told_failed_at: dict[LinkId, float] = {}
        # When a master that was stopped may serve again.
        self.serve_from: float | None = None
        # When this node last saw only a minority of the masters.
        self.last_minority_at: float | None = None
        # Why nobody would be served, in the log's words; "" when nothing is wrong.
        self.why_down = ""
        # This node's own election, and the manual failover it takes part in.
        self.candidacy = Candidacy()
        self.manual = ManualFailover()

    @property
    def myself(self) -> NodeEntry:
        return self.state.myself

    @property
    def offset(self) -> int:
        """How much of its master's data (a master: of its own) this node has."""
        return 0 if self.unrelated else self.facts.replication_offset()

    def emit(self, effect: Effect) -> None:
        self.effects.append(effect)

    def debug(self, text: str) -> None:
        self.effects.append(LogLine(Level.DEBUG, text))

    def verbose(self, text: str) -> None:
        self.effects.append(LogLine(Level.VERBOSE, text))

    def notice(self, text: str) -> None:
        self.effects.append(LogLine(Level.NOTICE, text))

    def warning(self, text: str) -> None:
        self.effects.append(LogLine(Level.WARNING, text))

    def save(self, *, fsync: bool = False) -> None:
        """Have nodes.conf written before anything this step sends; with `fsync`, durably."""
        self.save_wanted = True
        self.save_with_fsync = self.save_with_fsync or fsync

    def changed(self, *, fsync: bool = False) -> None:
        """Have the tables saved and the cluster's state judged anew."""
        self.save(fsync=fsync)
        self.judge_state = True

    def since(self, moment: float | None) -> float:
        """Milliseconds since then; infinity for "never"."""
        return float("inf") if moment is None else self.now_ms - moment

    def random_id(self) -> str:
        """A new node id, or the placeholder for one."""
        return "".join(self.rng.choices(_HEX, k=40))
