"""Which replica is to be master.

First who may be: alive, recently heard, not cut off from the master long before it died. Then who is
best: the operator's priority, then the most data, then the smallest run id so that all sentinels would
choose alike (Redis documentation, "Sentinel: replica selection and priority").
"""

from __future__ import annotations

from sentinel.instances import DataInstance, Master, Replica, Role
from sentinel.periods import Periods
from sentinel.step import Step

# In PING periods: how old the last reply may be, and the last INFO where the master is known to be down.
FRESH_PINGS = 5
# In INFO periods: how old the last INFO may be otherwise.
FRESH_INFOS = 3
# In down-after times: how long a replica may have been cut off before the master went down.
CUT_OFF_TIMES = 10
# The same for a sentinel that was started after the master went down, and cannot know when that was: ten short
# down-after times are over before a few sentinels have been restarted, and then nobody would ever fail over.
CUT_OFF_UNSEEN_MS = 60_000
# A replica that was restarted while it could not reach its master has what its last snapshot had, or nothing. Redis
# takes it, and a master that was only cut off for a second loses everything. Here it is taken when the master has been
# down for so long that it may not come back; or at once, when the master is back and has lost more than that.
FORGOTTEN_MS = 10_000


def best_replica(step: Step, master: Master) -> Replica | None:
    """The replica to promote, or None where none is good."""
    candidates = [replica for replica in master.replicas.values() if is_eligible(step, master, replica)]
    if not step.guards.most_data_first:
        # For lessons only.
        return min(candidates, key=lambda replica: replica.offset, default=None)
    return min(candidates, key=_rank, default=None)


def is_eligible(step: Step, master: Master, replica: Replica) -> bool:
    """Whether `replica` may be promoted."""
    now, periods = step.now, step.periods
    if replica.sdown or not replica.link.up or replica.priority == 0:
        return False
    if now - replica.link.alive_at > FRESH_PINGS * periods.ping:
        return False
    if replica.info_at is None or now - replica.info_at > _info_validity(master, periods):
        return False
    if replica.link_down_ms > _cut_off_limit(master, now):
        return False
    if replica.may_have_forgotten and not master.lost_data and _down_for(master, now) < FORGOTTEN_MS:
        return False
    return not replica.cluster or belongs(master, replica)


def belongs(master: Master, replica: Replica) -> bool:
    """Whether a cluster node is still of this shard.

    In a cluster a replica can be moved to another shard (CLUSTER REPLICATE), and nothing of ours would call it
    back. Telling it to take over would then take the slots of a healthy master. It is ours if it says so or the
    master said so in its last INFO; addresses may be spelt differently by the two, so one of them is enough. A
    node that calls itself master without our doing has no shard to take over.
    """
    return replica.role is Role.SLAVE and (replica.listed or replica.follows(master.address))


def acting_master(step: Step, master: Master) -> Replica | None:
    """The replica that the cluster itself has made master of this shard, if there is one.

    A node that was reset is a master too, but without slots.
    """
    for replica in master.replicas.values():
        acts = replica.cluster and replica.role is Role.MASTER and replica.serves_slots
        if acts and replica.link.up and not replica.sdown and not _is_other_master(step, master, replica):
            return replica
    return None


def _is_other_master(step: Step, master: Master, replica: Replica) -> bool:
    """Whether the replica is what another name is monitored as: it has left for a shard of its own."""
    return any(
        other is not master and other.address.place == replica.address.place
        for other in step.knowledge.masters.values()
    )


def _rank(replica: Replica) -> tuple[int, int, bool, str]:
    return replica.priority, -replica.offset, not replica.run_id, replica.run_id.lower()


def _info_validity(master: DataInstance, periods: Periods) -> int:
    return FRESH_PINGS * periods.ping if master.sdown else FRESH_INFOS * periods.info


def _cut_off_limit(master: Master, now: int) -> int:
    limit = _down_for(master, now) + CUT_OFF_TIMES * master.options.down_after_ms
    return limit if master.link.was_alive else max(limit, CUT_OFF_UNSEEN_MS)


def _down_for(master: Master, now: int) -> int:
    return now - master.sdown_at if master.sdown_at is not None else 0
