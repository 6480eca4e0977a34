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

An heir is not sent anything. The attempt goes through the same states, finds R promoted, and gives the address a
config epoch that all sentinels, real ones too, accept.
"""

from __future__ import annotations

from collections.abc import Callable

from sentinel.address import Address
from sentinel.election import adopt_epoch, elected
from sentinel.events import Crash
from sentinel.hello import say_hello_now
from sentinel.instances import Failover, FailoverState, Master, Reconfiguration, Replica, Role, same_place
from sentinel.requests import Follow, Info, TakeOver
from sentinel.selection import acting_master, best_replica
from sentinel.switching import forget_reconfiguration, switch_master
from sentinel.turn import Turn

# Where each state may lead; None is the end of the attempt, successful only after UPDATE_CONFIG.
TRANSITIONS: dict[FailoverState, tuple[FailoverState | None, ...]] = {
    FailoverState.WAIT_START: (FailoverState.SELECT_SLAVE, None),
    FailoverState.SELECT_SLAVE: (FailoverState.SEND_SLAVEOF_NOONE, None),
    FailoverState.SEND_SLAVEOF_NOONE: (FailoverState.WAIT_PROMOTION, None),
    FailoverState.WAIT_PROMOTION: (FailoverState.RECONF_SLAVES, None),
    FailoverState.RECONF_SLAVES: (FailoverState.UPDATE_CONFIG,),
    FailoverState.UPDATE_CONFIG: (None,),
}


def start_if_needed(turn: Turn, master: Master) -> bool:
    """Stand for election if the master needs a successor and nobody is at it; returns whether it began."""
    if master.failover is not None:
        return False
    heir = _settled_heir(turn, master)
    if not master.odown and heir is None:
        master.candidacy_at = None
        return False
    if not turn.knowledge.durable:
        return False
    if not turn.elapsed(master.failover_at, 2 * master.options.failover_timeout_ms):
        master.candidacy_at = None
        return False
    if master.candidacy_at is None:
        spread = turn.periods.desync(master.options.down_after_ms)
        master.candidacy_at = turn.now + turn.random.randrange(spread + 1)
    if not turn.due(master.candidacy_at):
        return False
    begin(turn, master, heir=None if master.odown else heir)
    return True


def begin(turn: Turn, master: Master, *, forced: bool = False, heir: Replica | None = None) -> None:
    """A new attempt, in a new epoch."""
    epoch = turn.knowledge.current_epoch + 1
    adopt_epoch(turn, epoch)
    master.failover = Failover(epoch, turn.now, forced=forced, heir=heir)
    master.failover_at = turn.now
    master.candidacy_at = None
    turn.warn("+try-failover", master, master)


def advance(turn: Turn, master: Master) -> None:
    """Take the attempt as far as it will go now."""
    while (failover := master.failover) is not None:
        state = failover.state
        _STEPS[state](turn, master, failover)
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


def _settled_heir(turn: Turn, master: Master) -> Replica | None:
    """The replica to which the cluster has moved a master that is alive; see the rule at the top."""
    if master.role is not Role.SLAVE or not master.cluster or master.sdown or not master.link.up:
        return None
    replica = acting_master(turn, master)
    if replica is None or not same_place(master.master_host, master.master_port, replica.address):
        return None
    patience = max(turn.periods.publish, master.options.down_after_ms)
    settled = turn.elapsed(master.role_at, patience) and turn.elapsed(replica.role_at, patience)
    return replica if settled else None


def _wait_start(turn: Turn, master: Master, failover: Failover) -> None:
    if failover.forced or elected(turn, master, failover.epoch) == turn.knowledge.my_id:
        turn.warn("+elected-leader", master, master)
        if turn.knowledge.crash_after_election:
            turn.effects.append(Crash())
        _move(turn, failover, FailoverState.SELECT_SLAVE)
        turn.warn("+failover-state-select-slave", master, master)
        return
    timeout = min(turn.periods.election_timeout, master.options.failover_timeout_ms)
    if turn.elapsed(failover.started_at, timeout):
        _abort(turn, master, "-failover-abort-not-elected")


def _select_slave(turn: Turn, master: Master, failover: Failover) -> None:
    replica = failover.promoted or acting_master(turn, master)
    if replica is None:
        if _may_learn_more(turn, master, failover):
            return
        replica = best_replica(turn, master)
    if replica is None:
        _abort(turn, master, "-failover-abort-no-good-slave")
        return
    failover.promoted = replica
    turn.warn("+selected-slave", master, replica)
    _move(turn, failover, FailoverState.SEND_SLAVEOF_NOONE)
    turn.note("+failover-state-send-slaveof-noone", master, replica)


def _may_learn_more(turn: Turn, master: Master, failover: Failover) -> bool:
    """Whether a replica's answer to the INFO asked for when the master went down is still to come.

    Redis takes the offsets it has, which may be seconds old, and so may promote a replica that lacks writes which
    another one has. The wait is short, because an unreachable replica must not hold up the others.
    """
    if master.sdown_at is None:
        return False
    if turn.elapsed(failover.state_at, min(1_000, master.options.down_after_ms)):
        return False
    return any(
        replica.link.up and not replica.sdown and (replica.info_at is None or replica.info_at <= master.sdown_at)
        for replica in master.replicas.values()
    )


def _send_slaveof_noone(turn: Turn, master: Master, failover: Failover) -> None:
    replica = failover.promoted
    assert replica is not None
    if not replica.link.up:
        if turn.elapsed(failover.state_at, master.options.failover_timeout_ms):
            _abort(turn, master, "-failover-abort-slave-timeout")
        return
    if not (replica.cluster and replica.role is Role.MASTER):
        turn.send(replica.link, TakeOver() if replica.cluster else Follow())
    _move(turn, failover, FailoverState.WAIT_PROMOTION)
    turn.note("+failover-state-wait-promotion", master, replica)
    # In the same pipeline: with some luck its answer already says role:master.
    replica.info_sent_at = turn.now
    turn.send(replica.link, Info())


def _wait_promotion(turn: Turn, master: Master, failover: Failover) -> None:
    replica = failover.promoted
    assert replica is not None
    if replica.role is Role.MASTER and replica.info_at is not None and replica.info_at >= failover.state_at:
        # From here on the new configuration exists: everyone who hears of this epoch will follow it.
        master.config_epoch = failover.epoch
        turn.save()
        turn.warn("+promoted-slave", master, replica)
        if turn.knowledge.crash_after_promotion:
            turn.effects.append(Crash())
        _move(turn, failover, FailoverState.RECONF_SLAVES)
        turn.warn("+failover-state-reconf-slaves", master, master)
        say_hello_now(master)
    elif turn.elapsed(failover.state_at, master.options.failover_timeout_ms):
        _abort(turn, master, "-failover-abort-slave-timeout")


def _reconf_slaves(turn: Turn, master: Master, failover: Failover) -> None:
    """Point the other replicas at the new master, a few at a time: one that resynchronises does not serve reads."""
    promoted = failover.promoted
    assert promoted is not None
    followers = [] if is_cluster(master) else [each for each in master.replicas.values() if each is not promoted]
    for replica in followers:
        _give_up_waiting(turn, master, replica)
    waiting = [each for each in followers if each.reconfiguration is not Reconfiguration.DONE and not each.sdown]
    timed_out = bool(waiting) and turn.elapsed(failover.state_at, master.options.failover_timeout_ms)
    if promoted.sdown or not waiting or timed_out:
        # A promoted replica that is down again is the master all the same. Only as such can it be failed over; Redis
        # waits here for its return.
        turn.warn("+failover-end-for-timeout" if timed_out else "+failover-end", master, master)
        for replica in waiting:
            if replica.reconfiguration is Reconfiguration.NONE and replica.link.up:
                repoint(turn, replica, promoted.address)
                turn.note("+slave-reconf-sent-be", master, replica)
        _move(turn, failover, FailoverState.UPDATE_CONFIG)
        return
    busy = (Reconfiguration.SENT, Reconfiguration.IN_PROGRESS)
    free = master.options.parallel_syncs - sum(each.reconfiguration in busy for each in followers)
    for replica in waiting:
        if free > 0 and replica.reconfiguration is Reconfiguration.NONE and replica.link.up:
            free -= 1
            repoint(turn, replica, promoted.address)
            replica.reconfiguration = Reconfiguration.SENT
            replica.reconfiguration_at = turn.now
            turn.note("+slave-reconf-sent", master, replica)


def _give_up_waiting(turn: Turn, master: Master, replica: Replica) -> None:
    """A replica that does not show in time whom it follows is left to the repairs after the failover."""
    if replica.reconfiguration is Reconfiguration.SENT and turn.elapsed(
        replica.reconfiguration_at, turn.periods.slave_reconf_timeout
    ):
        turn.note("-slave-reconf-sent-timeout", master, replica)
        replica.reconfiguration = Reconfiguration.DONE


def repoint(turn: Turn, replica: Replica, address: Address) -> None:
    """Make a replica follow `address`; `is_cluster` masters have no use for this."""
    turn.send(replica.link, Follow(turn.knowledge.shown(address), address.port))


def _update_config(turn: Turn, master: Master, failover: Failover) -> None:
    assert failover.promoted is not None
    switch_master(turn, master, failover.promoted.address)


def _move(turn: Turn, failover: Failover, state: FailoverState) -> None:
    assert state in TRANSITIONS[failover.state], (failover.state, state)
    failover.state = state
    failover.state_at = turn.now


def _abort(turn: Turn, master: Master, channel: str) -> None:
    assert master.failover is not None
    assert None in TRANSITIONS[master.failover.state]
    turn.warn(channel, master, master)
    master.failover = None
    forget_reconfiguration(master)


_STEPS: dict[FailoverState, Callable[[Turn, Master, Failover], None]] = {
    FailoverState.WAIT_START: _wait_start,
    FailoverState.SELECT_SLAVE: _select_slave,
    FailoverState.SEND_SLAVEOF_NOONE: _send_slaveof_noone,
    FailoverState.WAIT_PROMOTION: _wait_promotion,
    FailoverState.RECONF_SLAVES: _reconf_slaves,
    FailoverState.UPDATE_CONFIG: _update_config,
}
