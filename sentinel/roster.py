"""What an operator changes: which masters are watched, with which options; and what names resolve to."""

from __future__ import annotations

from sentinel.address import Address
from sentinel.events import Answer, Close, Half, Monitor, Reconfigure, ReconfigureSelf
from sentinel.instances import Instance, Master, Replica
from sentinel.knowledge import all_instances, data_instances
from sentinel.settings import MasterMemory, MasterOptions
from sentinel.step import Step
from sentinel.switching import reset_master


def monitor(step: Step, event: Monitor, address: Address) -> Master:
    """Begin to watch a master; the caller has made sure that the name is new."""
    options = MasterOptions(
        quorum=event.quorum,
        down_after_ms=step.periods.default_down_after,
        failover_timeout_ms=step.periods.default_failover_timeout,
    )
    record = MasterMemory(name=event.name, host=event.host, port=event.port, options=options)
    master = step.knowledge.add_master(record, address, step.now)
    step.warn("+monitor", master, master, f" quorum {options.quorum}")
    step.save()
    step.effects.append(Answer())
    return master


def remove(step: Step, master: Master) -> None:
    """Stop watching a master."""
    step.warn("-monitor", master, master)
    del step.knowledge.masters[master.name]
    for instance in list(all_instances(master)):
        step.effects += step.knowledge.forget(instance)
    step.save()
    step.effects.append(Answer())


def reset(step: Step, master: Master) -> None:
    """Forget everything about a master but its name, address, options and epochs."""
    for peer in list(master.peers.values()):
        step.effects += step.knowledge.forget(peer)
    master.peers.clear()
    reset_master(step, master, master.address)
    step.warn("+reset-master", master, master)
    step.save()


def reconfigure(step: Step, master: Master, event: Reconfigure) -> None:
    """SENTINEL SET. Links that were made with other credentials or command names are made anew."""
    old, new = master.options, event.options
    master.options = new
    greeting = (new.auth_user, new.auth_pass, new.renamed_commands)
    if greeting != (old.auth_user, old.auth_pass, old.renamed_commands):
        for instance in data_instances(master):
            _close(step, instance)
    for option, value in event.changes:
        step.warn("+set", master, master, f" {option} {value}")
    step.save()
    step.effects.append(Answer())


def reconfigure_self(step: Step, event: ReconfigureSelf) -> None:
    """SENTINEL CONFIG SET."""
    old = step.knowledge.memory
    new = step.knowledge.memory = old.model_copy(update=dict(event.changes))
    if (old.sentinel_user, old.sentinel_pass) != (new.sentinel_user, new.sentinel_pass):
        for master in step.knowledge.masters.values():
            for peer in master.peers.values():
                _close(step, peer)
    step.save()
    step.effects.append(Answer())


def _close(step: Step, instance: Instance) -> None:
    """End the connections to an instance; the next round opens new ones."""
    link = instance.link
    for half in (Half.COMMAND, Half.PUBSUB) if link.listens else (Half.COMMAND,):
        link.disconnected(half)
        step.effects.append(Close(link.number, half))


def resolve(step: Step, host: str, ip: str | None) -> list[Master]:
    """Take what a name resolves to. A name that does not resolve keeps its last address: its owner may be stopped,
    and is to be failed over by that address."""
    if ip is None:
        return []
    concerned = []
    for master in list(step.knowledge.masters.values()):
        for instance in list(all_instances(master)):
            if instance.address.host == host and instance.address.ip != ip and not instance.link.up:
                _move(step, master, instance, instance.address.at(ip))
                # The wait after the last attempt was for the other address.
                instance.link.command.tried_at = instance.link.pubsub.tried_at = None
                concerned.append(master)
    return concerned


def _move(step: Step, master: Master, instance: Instance, address: Address) -> None:
    old = instance.address
    instance.address = address
    if isinstance(instance, Replica) and master.replicas.get(old.place) is instance:
        del master.replicas[old.place]
        if address.place in master.replicas or address.place == master.address.place:
            # Two names, one instance: it is known already.
            step.effects += step.knowledge.forget(instance)
        else:
            master.replicas[address.place] = instance
