"""Down, for me (SDOWN) and for enough of us (ODOWN).

SDOWN is one sentinel's opinion of any instance: no valid reply for `down-after-milliseconds`. ODOWN is
of masters only: a quorum of sentinels holds that opinion. ODOWN is not an agreement (each sentinel counts
for itself, and answers age), only the reason to ask for votes.
"""

from __future__ import annotations

from sentinel.instances import Instance, Master, Peer, Role
from sentinel.requests import AskDown
from sentinel.step import Step

# How many ask periods an answer counts.
VERDICT_PERIODS = 5
# How many INFO periods a master may call itself a replica before it counts as down.
WRONG_ROLE_PERIODS = 2


def check_sdown(step: Step, master: Master, instance: Instance) -> None:
    """Move one instance into or out of SDOWN."""
    down = _is_silent(step, master, instance) or (instance is master and _is_no_master(step, master))
    if down and not instance.sdown:
        instance.sdown_at = step.now
        step.warn("+sdown", master, instance)
    elif instance.sdown and not down:
        instance.sdown_at = None
        step.warn("-sdown", master, instance)
        if instance is master:
            master.script_killed = False


def check_odown(step: Step, master: Master) -> None:
    """Move the master into or out of ODOWN by the answers received so far."""
    for peer in master.peers.values():
        _forget_old_verdict(step, peer)
    votes = 1 + sum(peer.says_down for peer in master.peers.values()) if master.sdown else 0
    quorum = master.options.quorum
    if votes >= quorum and not master.odown:
        master.odown_at = step.now
        step.warn("+odown", master, master, f" #quorum {votes}/{quorum}")
    elif master.odown and votes < quorum:
        master.odown_at = None
        step.warn("-odown", master, master)


def ask_others(step: Step, master: Master, *, at_once: bool = False) -> None:
    """Ask the other sentinels about a master that is down here, and for their votes once a failover has begun."""
    failover = master.failover
    if not master.sdown and (failover is None or failover.forced):
        return
    period = step.periods.ask_every(master.options.down_after_ms)
    candidate, epoch = "*", step.knowledge.current_epoch
    if failover is not None and step.knowledge.durable:
        candidate, epoch = step.knowledge.my_id, failover.epoch
    for peer in master.peers.values():
        if not peer.link.accepts_periodic:
            continue
        if not at_once and not step.elapsed(peer.asked_at, period):
            continue
        peer.asked_at = step.now
        step.send(
            peer.link,
            AskDown(
                master.name,
                master.address.ip or master.address.host,
                master.address.port,
                epoch,
                candidate,
            ),
        )


def take_verdict(step: Step, peer: Peer, reply: object) -> None:
    """The answer of `peer` to `AskDown`: its opinion, and perhaps its vote."""
    if not isinstance(reply, list) or len(reply) != 3:
        return
    down, leader, epoch = reply
    if not isinstance(down, int) or not isinstance(leader, bytes | str) or not isinstance(epoch, int):
        return
    peer.verdict_at = step.now
    peer.says_down = down == 1
    name = leader.decode("utf-8", "surrogateescape") if isinstance(leader, bytes) else leader
    if name != "*":
        peer.leader, peer.leader_epoch = name, epoch


def _is_silent(step: Step, master: Master, instance: Instance) -> bool:
    """Redis counts from the oldest unanswered PING, and from the last reply while there is no connection. Here the
    second clock is not reset by a new connection: a frozen process accepts connections for ever."""
    link = instance.link
    if link.silent_since is None or not step.elapsed(link.silent_since, master.options.down_after_ms):
        return False
    # All processes of a host, or of a lab, start together. Who has not been up yet is not dead, and calling it so would
    # move a master to the replica that happened to start faster.
    return step.due(link.judged_from)


def _is_no_master(step: Step, master: Master) -> bool:
    """A master that calls itself a replica for long, or that restarted and does not get well, is no master."""
    if master.role is Role.SLAVE and step.elapsed(
        master.role_at, master.options.down_after_ms + WRONG_ROLE_PERIODS * step.periods.info
    ):
        return True
    grace = master.options.reboot_down_after_ms
    return master.rebooted_at is not None and grace != 0 and step.elapsed(master.rebooted_at, grace)


def _forget_old_verdict(step: Step, peer: Peer) -> None:
    """Nobody is asked about a master that is well again, so the last answers would stand for ever."""
    if peer.verdict_at is not None and step.elapsed(peer.verdict_at, VERDICT_PERIODS * step.periods.ask):
        peer.says_down, peer.leader, peer.verdict_at = False, None, None
