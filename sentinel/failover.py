"""The replacement of a master, from the decision to the change of address.

One attempt walks through the states of `TRANSITIONS`; each has a function that looks at the world and
moves on, stays, or gives up. Nothing is undone by giving up: a replica that was promoted all the same
is found by the next attempt.

A shard of a cluster (`cluster_enabled:1`) differs in two ways. The promotion is one command, CLUSTER
FAILOVER TAKEOVER, and the other replicas and the returning old master are told by the cluster bus, so nobody is sent
REPLICAOF. And a cluster can move a master without us (CLUSTER FAILOVER, or an election of its own). That is
*adopted*, under the rule that makes every change of address safe, a majority's vote for an epoch:

- the monitored master answers, and calls itself a replica of R; and R, a replica known to us, calls itself master
  and owns slots; and both have said so for at least a hello period and `down-after-milliseconds`, so that the
  hello of a sentinel-led failover would have arrived first: then this sentinel stands for election with R as heir;
- or the master is ODOWN and the elected leader finds a replica R that already acts as master: R is the heir.

Real sentinels may share the watch over plain masters; over a cluster's shards they must not, because the REPLICAOF by
which they promote is refused there.

An heir is not sent anything. The attempt goes through the same states, finds R promoted, and gives the address a
config epoch that all sentinels, real ones too, accept.
"""

from __future__ import annotations

from collections.abc import Callable

from sentinel.address import Address
from sentinel.election import adopt_epoch, elected
from sentinel.events import Crash
from sentinel.hello import say_hello_now
from sentinel.instances import DataInstance, Failover, FailoverState, Master, Reconfiguration, Replica, Role, same_place
from sentinel.requests import Follow, Info, TakeOver
from sentinel.selection import acting_master, best_replica
from sentinel.step import Step
from sentinel.switching import forget_reconfiguration, switch_master

# Where each state may lead; None is the end of the attempt, successful only after UPDATE_CONFIG.
TRANSITIONS: dict[FailoverState, tuple[FailoverState | None, ...]] = {
    FailoverState.WAIT_START: (FailoverState.SELECT_SLAVE, None),
    FailoverState.SELECT_SLAVE: (FailoverState.SEND_SLAVEOF_NOONE, None),
    FailoverState.SEND_SLAVEOF_NOONE: (FailoverState.WAIT_PROMOTION, None),
    FailoverState.WAIT_PROMOTION: (FailoverState.RECONF_SLAVES, None),
    FailoverState.RECONF_SLAVES: (FailoverState.UPDATE_CONFIG,),
    FailoverState.UPDATE_CONFIG: (None,),
}


def start_if_needed(step: Step, master: Master) -> bool:
    """Stand for election if the master needs a successor and nobody is at it; returns whether it began."""
    if master.failover is not None:
        return False
    heir = _settled_heir(step, master)
    if not master.odown and heir is None:
        master.candidacy_at = None
        return False
    if not step.knowledge.durable:
        return False
    if not step.elapsed(master.failover_at, 2 * master.options.failover_timeout_ms):
        master.candidacy_at = None
        return False
    if master.candidacy_at is None:
        spread = step.periods.desync(master.options.down_after_ms, again=master.failover_at is not None)
        master.candidacy_at = step.now + step.random.randrange(spread + 1)
    if not step.due(master.candidacy_at):
        return False
    begin(step, master, heir=None if master.odown else heir)
    return True


def begin(step: Step, master: Master, *, forced: bool = False, heir: Replica | None = None) -> None:
    """A new attempt, in a new epoch."""
    epoch = step.knowledge.current_epoch + 1
    adopt_epoch(step, epoch)
    master.failover = Failover(epoch, step.now, forced=forced, heir=heir)
    master.failover_at = step.now
    master.candidacy_at = None
    step.warn("+try-failover", master, master)


def advance(step: Step, master: Master) -> None:
    """Take the attempt as far as it will go now."""
    while (failover := master.failover) is not None:
        state = failover.state
        _STEPS[state](step, master, failover)
        if master.failover is failover and failover.state is state:
            return


def awaits_promotion(master: Master, replica: Replica) -> bool:
    """Whether everything waits for this replica to call itself master."""
    failover = master.failover
    return failover is not None and failover.promoted is replica and failover.state is FailoverState.WAIT_PROMOTION


def unsettled(master: Master) -> bool:
    """Whether a cluster seems to have moved this master without us: worth looking at more often than usual."""
    if not is_cluster(master):
        return False
    return master.role is Role.SLAVE or any(
        replica.role is Role.MASTER and replica.serves_slots for replica in master.replicas.values()
    )


def is_cluster(master: Master) -> bool:
    """Whether this is a shard of a cluster. After a restart only the replicas may be left to say so."""
    return master.cluster or any(replica.cluster for replica in master.replicas.values())


def _settled_heir(step: Step, master: Master) -> Replica | None:
    """The replica to which the cluster has moved a master that is alive; see the rule at the top."""
    if master.role is not Role.SLAVE or not master.cluster or master.sdown or not master.link.up:
        return None
    replica = acting_master(step, master)
    if replica is None or not same_place(master.master_host, master.master_port, replica.address):
        return None
    settled = is_settled(step, master, master) and is_settled(step, master, replica)
    return replica if settled else None


def is_settled(step: Step, master: Master, instance: DataInstance) -> bool:
    """Whether the role an instance reports has lasted long enough to be no passing state."""
    return step.elapsed(instance.role_at, max(step.periods.publish, master.options.down_after_ms))


def _wait_start(step: Step, master: Master, failover: Failover) -> None:
    if failover.forced or elected(step, master, failover.epoch) == step.knowledge.my_id:
        step.warn("+elected-leader", master, master)
        if step.knowledge.crash_after_election:
            step.effects.append(Crash())
        _move(step, failover, FailoverState.SELECT_SLAVE)
        step.warn("+failover-state-select-slave", master, master)
        return
    timeout = min(step.periods.election_timeout, master.options.failover_timeout_ms)
    if step.elapsed(failover.started_at, timeout):
        _abort(step, master, "-failover-abort-not-elected")


def _select_slave(step: Step, master: Master, failover: Failover) -> None:
    replica = failover.promoted or acting_master(step, master)
    if replica is not None and not is_settled(step, master, replica):
        # Perhaps a dead master that came back and has not yet heard of its successor. To promote another one beside
        # it would be as wrong as to believe it.
        return
    if replica is None:
        if _may_learn_more(step, master, failover):
            return
        replica = best_replica(step, master)
    if replica is None:
        _abort(step, master, "-failover-abort-no-good-slave")
        return
    failover.promoted = replica
    step.warn("+selected-slave", master, replica)
    _move(step, failover, FailoverState.SEND_SLAVEOF_NOONE)
    step.note("+failover-state-send-slaveof-noone", master, replica)


def _may_learn_more(step: Step, master: Master, failover: Failover) -> bool:
    """Whether a replica's answer to the INFO asked for when the master went down is still to come.

    Redis takes the offsets it has, which may be seconds old, and so may promote a replica that lacks writes which
    another one has. The wait is short, because an unreachable replica must not hold up the others.
    """
    if master.sdown_at is None:
        return False
    if step.elapsed(failover.state_at, min(1_000, master.options.down_after_ms)):
        return False
    return any(
        replica.link.up and not replica.sdown and (replica.info_at is None or replica.info_at <= master.sdown_at)
        for replica in master.replicas.values()
    )


def _send_slaveof_noone(step: Step, master: Master, failover: Failover) -> None:
    replica = failover.promoted
    assert replica is not None
    if not replica.link.up:
        if step.elapsed(failover.state_at, master.options.failover_timeout_ms):
            _abort(step, master, "-failover-abort-slave-timeout")
        return
    if not (replica.cluster and replica.role is Role.MASTER):
        step.send(replica.link, TakeOver() if replica.cluster else Follow())
    _move(step, failover, FailoverState.WAIT_PROMOTION)
    step.note("+failover-state-wait-promotion", master, replica)
    # In the same pipeline: with some luck its answer already says role:master.
    replica.info_sent_at = step.now
    step.send(replica.link, Info())


def _wait_promotion(step: Step, master: Master, failover: Failover) -> None:
    replica = failover.promoted
    assert replica is not None
    if replica.role is Role.MASTER and replica.info_at is not None and replica.info_at >= failover.state_at:
        # From here on the new configuration exists: everyone who hears of this epoch will follow it.
        master.config_epoch = failover.epoch
        step.save()
        step.warn("+promoted-slave", master, replica)
        if step.knowledge.crash_after_promotion:
            step.effects.append(Crash())
        _move(step, failover, FailoverState.RECONF_SLAVES)
        step.warn("+failover-state-reconf-slaves", master, master)
        say_hello_now(master)
    elif step.elapsed(failover.state_at, master.options.failover_timeout_ms):
        _abort(step, master, "-failover-abort-slave-timeout")


def _reconf_slaves(step: Step, master: Master, failover: Failover) -> None:
    """Point the other replicas at the new master, a few at a time: one that resynchronises does not serve reads."""
    promoted = failover.promoted
    assert promoted is not None
    followers = [] if is_cluster(master) else [each for each in master.replicas.values() if each is not promoted]
    for replica in followers:
        _give_up_waiting(step, master, replica)
    waiting = [each for each in followers if each.reconfiguration is not Reconfiguration.DONE and not each.sdown]
    timed_out = bool(waiting) and step.elapsed(failover.state_at, master.options.failover_timeout_ms)
    if promoted.sdown or not waiting or timed_out:
        # A promoted replica that is down again is the master all the same. Only as such can it be failed over; Redis
        # waits here for its return.
        step.warn("+failover-end-for-timeout" if timed_out else "+failover-end", master, master)
        for replica in waiting:
            if replica.reconfiguration is Reconfiguration.NONE and replica.link.up:
                repoint(step, replica, promoted.address)
                step.note("+slave-reconf-sent-be", master, replica)
        _move(step, failover, FailoverState.UPDATE_CONFIG)
        return
    busy = (Reconfiguration.SENT, Reconfiguration.IN_PROGRESS)
    free = master.options.parallel_syncs - sum(each.reconfiguration in busy for each in followers)
    for replica in waiting:
        if free > 0 and replica.reconfiguration is Reconfiguration.NONE and replica.link.up:
            free -= 1
            repoint(step, replica, promoted.address)
            replica.reconfiguration = Reconfiguration.SENT
            replica.reconfiguration_at = step.now
            step.note("+slave-reconf-sent", master, replica)


def _give_up_waiting(step: Step, master: Master, replica: Replica) -> None:
    """A replica that does not show in time whom it follows is left to the repairs after the failover."""
    if replica.reconfiguration is Reconfiguration.SENT and step.elapsed(
        replica.reconfiguration_at, step.periods.slave_reconf_timeout
    ):
        step.note("-slave-reconf-sent-timeout", master, replica)
        replica.reconfiguration = Reconfiguration.DONE


def repoint(step: Step, replica: Replica, address: Address) -> None:
    """Make a replica follow `address`; `is_cluster` masters have no use for this."""
    step.send(replica.link, Follow(step.knowledge.shown(address), address.port))


def _update_config(step: Step, master: Master, failover: Failover) -> None:
    assert failover.promoted is not None
    switch_master(step, master, failover.promoted.address)


def _move(step: Step, failover: Failover, state: FailoverState) -> None:
    assert state in TRANSITIONS[failover.state], (failover.state, state)
    failover.state = state
    failover.state_at = step.now


def _abort(step: Step, master: Master, channel: str) -> None:
    assert master.failover is not None
    assert None in TRANSITIONS[master.failover.state]
    step.warn(channel, master, master)
    master.failover = None
    forget_reconfiguration(master)


_STEPS: dict[FailoverState, Callable[[Step, Master, Failover], None]] = {
    FailoverState.WAIT_START: _wait_start,
    FailoverState.SELECT_SLAVE: _select_slave,
    FailoverState.SEND_SLAVEOF_NOONE: _send_slaveof_noone,
    FailoverState.WAIT_PROMOTION: _wait_promotion,
    FailoverState.RECONF_SLAVES: _reconf_slaves,
    FailoverState.UPDATE_CONFIG: _update_config,
}
