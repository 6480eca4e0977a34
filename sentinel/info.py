"""What an INFO says, and what follows from it: replicas, roles, and the repairs of stray replicas.

Replicas are learned only from the ``slaveN`` lines of a master. Repairs bring back a replica that calls
itself master or follows somebody else, but only after a time in which the news of a newer configuration
would have arrived, and never in a cluster, whose nodes are told by the cluster bus.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime import Level
from sentinel.address import Address, is_ip
from sentinel.failover import awaits_promotion, is_cluster, repoint
from sentinel.instances import DataInstance, Master, Reconfiguration, Replica, Role, same_place
from sentinel.requests import ClusterNodes
from sentinel.step import Step

# In hello periods: how long a replica may call itself master before it is told otherwise. News of a failover by
# another sentinel comes with every hello.
CONVERT_HELLOS = 4
# In INFO periods: how old the last INFO of a master we take for healthy may be.
SANE_INFOS = 2


@dataclass(frozen=True, slots=True)
class Report:
    """The lines of an INFO that a sentinel reads."""

    fields: dict[str, str]
    # Host and port of each slaveN line.
    replicas: tuple[tuple[str, int], ...]

    @classmethod
    def parse(cls, text: bytes) -> Report:
        fields: dict[str, str] = {}
        replicas = []
        for line in text.decode("utf-8", "replace").splitlines():
            name, colon, value = line.partition(":")
            if not colon:
                continue
            fields[name] = value
            if name.startswith("slave") and name[5:].isdecimal():
                about = dict(part.partition("=")[::2] for part in value.split(","))
                port = _number(about.get("port", ""))
                if about.get("ip") and 0 < port < 65536:
                    replicas.append((about["ip"], port))
        return cls(fields, tuple(replicas))

    @property
    def role(self) -> Role | None:
        """None where INFO says something else, or nothing; then nothing about the role is known."""
        value = self.fields.get("role")
        return Role(value) if value in ("master", "slave") else None

    def number(self, name: str, default: int = 0) -> int:
        return _number(self.fields.get(name, ""), default)

    def text(self, name: str) -> str:
        return self.fields.get(name, "")


def take_info(step: Step, master: Master, instance: DataInstance, reply: object, *, tilt: bool) -> None:
    """Learn from an INFO reply and act on it; in TILT only learn."""
    instance.info_sent_at = None
    if not isinstance(reply, bytes):
        return
    report = Report.parse(reply)
    instance.info, instance.info_at = reply, step.now
    instance.cluster = report.text("cluster_enabled") == "1"
    _note_run_id(step, master, instance, report.text("run_id"))
    role = report.role or instance.role
    if role is Role.SLAVE:
        _note_replication(step, instance, report)
    _note_role(step, master, instance, role)
    if isinstance(instance, Master):
        if role is Role.MASTER:
            _discover(step, master, report.replicas)
        elif instance.cluster:
            _watch_successor(step, master)
        return
    assert isinstance(instance, Replica)
    if instance.cluster and role is Role.MASTER:
        # A node that was reset calls itself master, too; only its slots tell whether it acts as one.
        step.send(instance.link, ClusterNodes())
    if not tilt:
        _follow_up(step, master, instance)


def take_cluster_nodes(instance: Replica, reply: object) -> None:
    """Whether the node itself owns slots: fields from the ninth on of the line about ``myself``."""
    if not isinstance(reply, bytes):
        return
    for line in reply.decode("utf-8", "replace").splitlines():
        fields = line.split()
        if len(fields) > 2 and "myself" in fields[2].split(","):
            # Slots in migration are written in brackets and are no claim of ownership by themselves.
            instance.serves_slots = any(not slots.startswith("[") for slots in fields[8:])


def _note_run_id(step: Step, master: Master, instance: DataInstance, run_id: str) -> None:
    if not run_id or run_id == instance.run_id:
        return
    if instance.run_id:
        step.note("+reboot", master, instance)
        if instance is master and master.options.reboot_down_after_ms:
            master.rebooted_at = step.now
    instance.run_id = run_id


def _note_replication(step: Step, instance: DataInstance, report: Report) -> None:
    """What an instance that calls itself replica says about that."""
    assert isinstance(instance, (Master, Replica))
    host, port = report.text("master_host"), report.number("master_port")
    if isinstance(instance, Replica):
        if (host, port) != (instance.master_host, instance.master_port):
            instance.master_changed_at = step.now
        instance.link_up = report.text("master_link_status") == "up"
        instance.link_down_ms = report.number("master_link_down_since_seconds") * 1_000
        instance.priority = report.number("slave_priority", 100)
        instance.offset = report.number("slave_repl_offset")
        if instance.link_up:
            instance.synced_run_id = instance.run_id
        instance.announced = report.number("replica_announced", 1) != 0
    instance.master_host, instance.master_port = host, port


def _note_role(step: Step, master: Master, instance: DataInstance, role: Role) -> None:
    if role is instance.role:
        return
    instance.role, instance.role_at = role, step.now
    if role is Role.SLAVE:
        instance.serves_slots = False
        if isinstance(instance, Replica):
            instance.master_changed_at = step.now
    else:
        # A master waits for nobody.
        if isinstance(instance, Replica):
            instance.link_down_ms = 0
    expected = Role.MASTER if instance is master else Role.SLAVE
    text = f"{step.describe(master, instance)} new reported role is {role.value}"
    step.announce(Level.VERBOSE, "+role-change" if role is expected else "-role-change", text)


def _discover(step: Step, master: Master, places: tuple[tuple[str, int], ...]) -> None:
    """Know every replica the master names, for good; and which ones it names now."""
    for replica in master.replicas.values():
        replica.listed = any(same_place(host, port, replica.address) for host, port in places)
    for host, port in places:
        if any(same_place(host, port, replica.address) for replica in master.replicas.values()):
            continue
        _add_replica(step, master, host, port)


def _add_replica(step: Step, master: Master, host: str, port: int) -> None:
    if not is_ip(host) and not step.knowledge.memory.resolve_hostnames:
        return
    replica = step.knowledge.add_replica(master, Address.of(host, port), step.now)
    step.note("+slave", master, replica)
    step.save()


def _watch_successor(step: Step, master: Master) -> None:
    """A cluster has made our master the replica of a node we never heard of: a sentinel that slept through it, or
    that starts with an old file. Watch that node, unless it is the master of another shard which ours has joined."""
    host, port = master.master_host, master.master_port
    known = any(same_place(host, port, replica.address) for replica in master.replicas.values())
    elsewhere = any(
        same_place(host, port, instance.address)
        for other in step.knowledge.masters.values()
        for instance in (other, *other.replicas.values())
    )
    if host and port and not known and not elsewhere:
        _add_replica(step, master, host, port)


def _follow_up(step: Step, master: Master, replica: Replica) -> None:
    failover = master.failover
    if failover is not None and failover.promoted is not None and replica is not failover.promoted:
        _note_reconfiguration(step, master, replica, failover.promoted.address)
    if is_cluster(master) or awaits_promotion(master, replica):
        return
    if failover is not None and (failover.promoted is replica or replica.reconfiguration is not Reconfiguration.NONE):
        return
    if not _looks_sane(step, master):
        return
    if replica.role is Role.MASTER:
        _repair(step, master, replica, replica.role_at, CONVERT_HELLOS * step.periods.publish, "+convert-to-slave")
    elif not replica.follows(master.address):
        patience = master.options.failover_timeout_ms
        _repair(step, master, replica, replica.master_changed_at, patience, "+fix-slave-config")


def _note_reconfiguration(step: Step, master: Master, replica: Replica, promoted: Address) -> None:
    """Follow a replica from "told" over "connecting" to "in sync"."""
    if replica.reconfiguration is Reconfiguration.SENT and replica.follows(promoted):
        replica.reconfiguration = Reconfiguration.IN_PROGRESS
        step.note("+slave-reconf-inprog", master, replica)
    if replica.reconfiguration is Reconfiguration.IN_PROGRESS and replica.link_up:
        replica.reconfiguration = Reconfiguration.DONE
        step.note("+slave-reconf-done", master, replica)


def _looks_sane(step: Step, master: Master) -> bool:
    return (
        master.role is Role.MASTER
        and not master.sdown
        and not master.odown
        and master.info_at is not None
        and step.now - master.info_at < SANE_INFOS * step.periods.info
    )


def _repair(step: Step, master: Master, replica: Replica, since: int, patience: int, channel: str) -> None:
    """Point a stray replica at our master once its state has lasted for `patience`."""
    was_down = replica.sdown_at is not None and step.now - replica.sdown_at <= patience
    if was_down or step.now - since <= patience:
        return
    repoint(step, replica, master.address)
    step.note(channel, master, replica)


def _number(text: str, default: int = 0) -> int:
    """A number of INFO's; `default` for what is none. Bounded, because it comes from outside."""
    digits = text[1:] if text[:1] == "-" else text
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 20):
        return default
    return int(text)
