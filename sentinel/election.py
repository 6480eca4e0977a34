"""Votes: one a sentinel and epoch, and a leader is who has the majority of all known sentinels.

Redis' variant of Raft's leader election (Redis documentation, "Sentinel: configuration epochs"). A
vote is for a leader of one master's failover in one epoch; it is on disk before anyone hears of it,
so a sentinel that restarts cannot vote twice. Sentinels that are down count among the voters: a
minority must not be able to elect by not seeing the others.
"""

from __future__ import annotations

from runtime import Level
from sentinel.instances import Master
from sentinel.step import Step


def adopt_epoch(step: Step, epoch: int) -> None:
    """Catch up with the epoch of others; it never goes back."""
    if epoch > step.knowledge.current_epoch:
        step.knowledge.memory = step.knowledge.memory.model_copy(update={"current_epoch": epoch})
        step.save()
        step.announce(Level.WARNING, "+new-epoch", str(epoch))


def vote(step: Step, master: Master, candidate: str, epoch: int) -> None:
    """Vote for `candidate` unless this epoch's vote is given; `master.leader` has the result."""
    adopt_epoch(step, epoch)
    voted = master.leader_epoch >= epoch and step.guards.vote_once_per_epoch
    if voted or step.knowledge.current_epoch > epoch:
        return
    master.leader, master.leader_epoch = candidate, step.knowledge.current_epoch
    step.save()
    step.announce(Level.WARNING, "+vote-for-leader", f"{candidate} {master.leader_epoch}")
    if candidate != step.knowledge.my_id:
        # B, whom I voted for, needs time; a candidacy of mine in the next epoch would only promote a second replica.
        # The random part keeps the voters of a leader that dies from all standing up at the same moment.
        master.failover_at = step.now + step.random.randrange(1_000)
        master.candidacy_at = None


def elected(step: Step, master: Master, epoch: int) -> str | None:
    """Who has won the votes for `epoch`, counting my own, which goes to the one ahead, or to me.

    Only votes of that very epoch count. A vote that reached me for a later one must not make me the leader of an
    epoch which another sentinel may have won.
    """
    ballots: dict[str, int] = {}
    for peer in master.peers.values():
        if peer.leader is not None and peer.leader_epoch == epoch:
            ballots[peer.leader] = ballots.get(peer.leader, 0) + 1
    ahead = max(ballots, key=ballots.__getitem__, default=step.knowledge.my_id)
    vote(step, master, ahead, epoch)
    if master.leader is not None and master.leader_epoch == epoch:
        ballots[master.leader] = ballots.get(master.leader, 0) + 1
    if not ballots:
        return None
    winner = max(ballots, key=ballots.__getitem__)
    voters = len(master.peers) + 1
    return winner if ballots[winner] >= max(voters // 2 + 1, master.options.quorum) else None
