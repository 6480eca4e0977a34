"""The change of a master's address, and the forgetting that goes with it.

Both the leader of a failover and everyone who hears of its result end here: the master keeps its name,
its sentinels and its epochs; the old master becomes one more replica, expected to come back and follow.
"""

from __future__ import annotations

from runtime import Level
from sentinel.address import Address
from sentinel.instances import Master, Reconfiguration, Role
from sentinel.step import Step


def switch_master(step: Step, master: Master, address: Address) -> None:
    """Make `address` the master, announce it, and know all others as its replicas."""
    shown = step.knowledge.shown
    old = master.address
    step.announce(
        Level.WARNING,
        "+switch-master",
        f"{master.name} {shown(old)} {old.port} {shown(address)} {address.port}",
    )
    others = [replica.address for replica in master.replicas.values()]
    # A name that was known for the place stays known.
    address = next((known for known in others if known.place == address.place), address)
    cluster = master.cluster or any(replica.cluster for replica in master.replicas.values())
    reset_master(step, master, address)
    master.cluster = cluster
    for other in [*others, old]:
        if other.place != address.place and other.place not in master.replicas:
            step.note("+slave", master, step.knowledge.add_replica(master, other, step.now))
    step.save()


def reset_master(step: Step, master: Master, address: Address) -> None:
    """Forget the replicas and all that was observed; keep the name, options, sentinels and epochs.

    The time of the last failover is forgotten with the rest: the limit on attempts is about one dead master, and must
    not keep the next one, which may die a second later, from being replaced.
    """
    for replica in list(master.replicas.values()):
        step.effects += step.knowledge.forget(replica)
    master.replicas.clear()
    step.effects += step.knowledge.relink(master, address, step.now)
    master.run_id = ""
    master.info = b""
    master.info_at = master.info_sent_at = master.hello_sent_at = None
    master.role, master.role_at = Role.MASTER, step.now
    master.sdown_at = master.odown_at = master.rebooted_at = None
    master.lost_data = False
    master.script_killed = False
    master.master_host, master.master_port = "", 0
    master.failover = None
    master.failover_at = master.candidacy_at = None
    master.leader = None
    for peer in master.peers.values():
        # What they said was about the old address.
        peer.says_down, peer.verdict_at, peer.asked_at = False, None, None
        peer.leader = None


def forget_reconfiguration(master: Master) -> None:
    """Take back the marks of a failover that came to nothing."""
    for replica in master.replicas.values():
        replica.reconfiguration = Reconfiguration.NONE
