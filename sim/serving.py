"""Whether who answered a client may have answered: a master that was replaced, or sees only a minority, must not.

Nobody can stop serving before the news reaches it. So the rule counts from the moment at which it could have known: its
successor runs, and nothing is wrong with the way between the two. A master that sleeps meanwhile (SIGSTOP) has the news
in its sockets when it wakes up, together with the commands of its clients, and must read it first.
"""

from __future__ import annotations

from collections.abc import Callable

from sim.claims import Claims
from sim.cluster import Seat, SimCluster
from sim.shape import Shape

REPLACED = "a master that was replaced does not go on serving"
MINORITY = "a minority stops serving"

# News of a promotion is sent at once, if the way is free then. Otherwise it comes with the heartbeats, which are half a
# node timeout apart, or when TCP tries again.
NEWS_S = 0.25
_HEARTBEATS_S = 1.5
# When the way to a client has been clear for so long, an answer that it gets now was given now.
_ANSWERS_ARE_NEW_S = 1.0
# A silent node is asked after half a node timeout and suspected after another one.
_SUSPICION_TIMEOUTS = 1.5
_SUSPICION_S = 1.0


def heard_within_s(shape: Shape) -> float:
    """How soon a heartbeat brings the news once nothing is in the way any more."""
    return shape.node_timeout_ms / 2000 + _HEARTBEATS_S


class Serving:
    """Follows the masters of one cluster, and judges their answers."""

    __slots__ = ("_alone_since", "_breach", "_claims", "_clear_since", "_cluster", "_loop")

    def __init__(self, cluster: SimCluster, claims: Claims, breach: Callable[[str, str], None]) -> None:
        self._cluster = cluster
        self._loop = cluster.world.loop
        self._claims = claims
        self._breach = breach
        # (seat, its successor): since when the one could hear of it from the other; (client, seat): since when nothing
        # has been wrong with the way between them.
        self._clear_since: dict[tuple[str, str], float] = {}
        # Since when a running master reaches only a minority of the masters.
        self._alone_since: dict[str, float] = {}

    def look(self) -> None:
        """See who could know what by now."""
        now, seats = self._loop.now, self._cluster.seats
        clear: dict[tuple[str, str], float] = {}
        alone: dict[str, float] = {}
        for name in self._cluster.nodes():
            for claim in self._claims.newer(name):
                successor = seats[claim.name]
                well = successor.runs and _disk_is_well(successor) and _disk_is_well(seats[name])
                if well and self._way_is_clear(claim.name, name):
                    clear[name, claim.name] = self._clear_since.get((name, claim.name), now)
            for host in self._cluster.world.hosts:
                if host not in seats and self._way_is_clear(host, name):
                    clear[host, name] = self._clear_since.get((host, name), now)
            if seats[name].runs and self._is_in_minority(name):
                alone[name] = self._alone_since.get(name, now)
        self._clear_since, self._alone_since = clear, alone

    def answered(self, client: str, name: str, slot: int, begun_at: float) -> None:
        """A client hears that a node has served a command about `slot`, which it sent at that moment."""
        now, timeout_s = self._loop.now, self._cluster.shape.node_timeout_ms / 1000
        # An answer may have been held up on its way; at least the command was not served before it was sent.
        is_new = now - self._clear_since.get((client, name), now) >= _ANSWERS_ARE_NEW_S
        served_at = now if is_new else begun_at
        for (replaced, successor), since in self._clear_since.items():
            claim = self._claims.last_of(successor)
            if replaced != name or claim is None or not claim.slots >> slot & 1:
                continue
            # Where nothing was in the way of the promotion's news, there is no excuse; otherwise a heartbeat brings it.
            prompt = since <= claim.at_s
            may_know_at = claim.at_s + NEWS_S if prompt else since + heard_within_s(self._cluster.shape)
            if served_at >= may_know_at:
                self._breach(
                    REPLACED,
                    f"{name} serves slot {slot} at {served_at:.3f}, which {successor} has since {claim.at_s:.3f}",
                )
        since_alone = self._alone_since.get(name)
        if since_alone is not None and begun_at >= since_alone + _SUSPICION_TIMEOUTS * timeout_s + _SUSPICION_S:
            self._breach(MINORITY, f"{name} serves a command of {begun_at:.3f}, alone since {since_alone:.3f}")

    def _way_is_clear(self, one: str, other: str) -> bool:
        link = self._cluster.world.fabric.link
        return link(one, other).clear and link(other, one).clear

    def _is_in_minority(self, name: str) -> bool:
        """Whether no news of a majority of the masters can reach a node, not even by way of others."""
        node = self._cluster.nodes()[name]
        assert node.cluster is not None
        state = node.cluster.state
        if not state.myself.is_master or not state.myself.slots:
            return False
        heard_of = self._within_reach(name)
        masters = [entry for entry in state.nodes.values() if entry.is_master and entry.slots]
        return sum(self._cluster.name_at(master.ip) in heard_of for master in masters) < state.majority()

    def _within_reach(self, name: str) -> dict[str, None]:
        """Those who are connected to it either way, directly or by others: gossip tells who was heard of by whom."""
        seats, link = self._cluster.seats, self._cluster.world.fabric.link
        found = {name: None}
        queue = [name]
        while queue:
            here = queue.pop()
            for other in self._cluster.shape.node_names():
                if other in found or not seats[other].runs:
                    continue
                if not link(here, other).cuts or not link(other, here).cuts:
                    found[other] = None
                    queue.append(other)
        return found


def _disk_is_well(seat: Seat) -> bool:
    """Whether saving what it hears, or says, takes no time to speak of."""
    return seat.host.disk.slowness == 1.0 and not seat.host.disk.in_trouble
