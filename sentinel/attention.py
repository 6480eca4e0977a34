"""Whom the rules have to look at: while all are well, one or none of a dozen instances in most steps.

A sentinel takes hundreds of events a second, nearly all of them answers that say that nothing has changed. While a
master is *at peace* (nothing is wrong with it or with anybody around it), what the rules do about an instance depends
on that instance, its link and the time. So each look at it leaves a note, `watch_at`: not before then. Whatever happens
on a link takes away the notes of its instances, but for the answers that come all the time (`changes_nothing`);
whatever else happens takes away all notes of its master; and a master that is not at peace is looked at as a whole.
"""

from __future__ import annotations

from sentinel.down import check_sdown
from sentinel.events import Send
from sentinel.instances import DataInstance, Instance, Master, Peer, Role
from sentinel.knowledge import all_instances
from sentinel.monitoring import make_round, slack
from sentinel.step import Step

# The longest time for which nobody looks: SENTINEL DEBUG and CONFIG SET may have changed what a note rested on.
_NOTE_MAX_MS = 1_000


def forget_notes(master: Master) -> None:
    """Look at all of them in the next step."""
    for instance in all_instances(master):
        instance.watch_at = 0


def look_at_some(step: Step, master: Master) -> bool:
    """Run the rules about those instances that want it; returns whether that was enough, because peace lasts."""
    if not is_calm(master):
        return False
    now, wake_at = step.now, step.wake_at
    instances = [master, *master.replicas.values(), *master.peers.values()]
    soon = now + slack(step, master)
    due = [instance for instance in instances if instance.watch_at <= soon]
    active = []
    for instance in due:
        step.wake_at = now + _NOTE_MAX_MS
        before = len(step.effects)
        make_round(step, master, instance)
        instance.watch_at = step.wake_at
        # When it is next due to be asked something is noted by whoever asks it.
        if not all(isinstance(effect, Send) for effect in step.effects[before:]):
            active.append(instance)
    for instance in due:
        step.wake_at = instance.watch_at
        check_sdown(step, master, instance)
        instance.watch_at = step.wake_at
    earliest = min([instance.watch_at for instance in instances])
    step.wake_at = earliest if wake_at is None else min(wake_at, earliest)
    for instance in active:
        # When the next thing is due follows from what was just done.
        instance.watch_at = 0
    return all(map(_is_well, due))


def changes_nothing(step: Step, users: list[tuple[Master, Instance]]) -> bool:
    """Whether an answer from a well instance, of which all that matters is that it came, leaves its users' notes true.

    A note is of the time when something is due although answers come: the next question, and, for a question that is
    out, the end of the patience with it.
    """
    for master, instance in users:
        if instance.watch_at <= step.now or instance.sdown_at is not None or not is_calm(master):
            return False
    return True


def is_calm(master: Master) -> bool:
    """Whether nothing is wrong with a master itself."""
    return (
        master.sdown_at is None
        and master.odown_at is None
        and master.failover is None
        and master.candidacy_at is None
        and master.rebooted_at is None
        and master.role is Role.MASTER
    )


def _is_well(instance: Instance) -> bool:
    """Whether it gives no rule about its master anything to do; those who have a note were well when it was made."""
    if instance.sdown_at is not None:
        return False
    if isinstance(instance, Peer):
        return instance.verdict_at is None
    assert isinstance(instance, DataInstance)
    return isinstance(instance, Master) or instance.role is Role.SLAVE
