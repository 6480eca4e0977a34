"""How SENTINEL MASTERS, REPLICAS and SENTINELS show what is known: names and values, in Redis' order.

Times are ages in milliseconds; 0 where there is nothing to measure from.
"""

from __future__ import annotations

from runtime.settings import to_bytes
from sentinel.instances import DataInstance, Instance, Master, Peer, Reconfiguration, Replica
from sentinel.knowledge import Knowledge

Fields = dict[bytes, bytes]


def master_fields(knowledge: Knowledge, master: Master, now: int) -> Fields:
    options = master.options
    fields = _common(knowledge, master, master, master.name, now)
    fields |= _reported(master, now)
    fields |= {
        "config-epoch": master.config_epoch,
        "num-slaves": len(master.replicas),
        "num-other-sentinels": len(master.peers),
        "quorum": options.quorum,
        "failover-timeout": options.failover_timeout_ms,
        "parallel-syncs": options.parallel_syncs,
    }
    if options.notification_script is not None:
        fields["notification-script"] = options.notification_script
    if options.client_reconfig_script is not None:
        fields["client-reconfig-script"] = options.client_reconfig_script
    return _encoded(fields)


def replica_fields(knowledge: Knowledge, master: Master, replica: Replica, now: int) -> Fields:
    name = f"{knowledge.shown(replica.address)}:{replica.address.port}"
    fields = _common(knowledge, master, replica, name, now)
    fields |= _reported(replica, now)
    fields |= {
        "master-link-down-time": replica.link_down_ms,
        "master-link-status": "ok" if replica.link_up else "err",
        "master-host": replica.master_host or "?",
        "master-port": replica.master_port,
        "slave-priority": replica.priority,
        "slave-repl-offset": replica.offset,
        "replica-announced": int(replica.announced),
    }
    return _encoded(fields)


def peer_fields(knowledge: Knowledge, master: Master, peer: Peer, now: int) -> Fields:
    fields = _common(knowledge, master, peer, peer.run_id, now)
    fields |= {
        "last-hello-message": now - peer.hello_at,
        "voted-leader": peer.leader or "?",
        "voted-leader-epoch": peer.leader_epoch,
    }
    return _encoded(fields)


def flags(master: Master, instance: Instance) -> str:
    """The state of an instance in words, by comma."""
    failover = master.failover
    is_master = instance is master
    words = {
        "s_down": instance.sdown,
        "o_down": is_master and master.odown,
        instance.kind: True,
        "disconnected": not instance.link.whole,
        "master_down": isinstance(instance, Peer) and instance.says_down,
        "failover_in_progress": is_master and failover is not None,
        "promoted": failover is not None and failover.promoted is instance,
        **{
            state.value: isinstance(instance, Replica) and instance.reconfiguration is state
            for state in Reconfiguration
            if state is not Reconfiguration.NONE
        },
        "force_failover": is_master and failover is not None and failover.forced,
        "script_kill_sent": is_master and master.script_killed,
    }
    return ",".join(word for word, holds in words.items() if holds)


def _common(knowledge: Knowledge, master: Master, instance: Instance, name: str, now: int) -> dict[str, str | int]:
    link = instance.link
    fields: dict[str, str | int] = {
        "name": name,
        "ip": knowledge.shown(instance.address),
        "port": instance.address.port,
        "runid": instance.run_id,
        "flags": flags(master, instance),
        "link-pending-commands": link.pending,
        "link-refcount": link.references,
    }
    if instance is master and master.failover is not None:
        fields["failover-state"] = master.failover.state.value
    fields |= {
        "last-ping-sent": 0 if link.silent_since is None else now - link.silent_since,
        "last-ok-ping-reply": now - link.alive_at,
        "last-ping-reply": now - link.ponged_at,
    }
    if instance.sdown_at is not None:
        fields["s-down-time"] = now - instance.sdown_at
    if instance is master and master.odown_at is not None:
        fields["o-down-time"] = now - master.odown_at
    fields["down-after-milliseconds"] = master.options.down_after_ms
    return fields


def _reported(instance: DataInstance, now: int) -> dict[str, str | int]:
    return {
        "info-refresh": 0 if instance.info_at is None else now - instance.info_at,
        "role-reported": instance.role.value,
        "role-reported-time": now - instance.role_at,
    }


def _encoded(fields: dict[str, str | int]) -> Fields:
    return {name.encode(): to_bytes(str(value)) for name, value in fields.items()}
