"""The hello message: how sentinels find each other and agree on who is master.

Eight fields, by comma, on a channel of every master and replica, and directly from sentinel to
sentinel: ``ip,port,id,current_epoch,master_name,master_ip,master_port,master_config_epoch``. Whoever
holds the larger config epoch for a master is right about its address, which is all the agreement that
is needed: an epoch is won by a majority, so no two leaders ever hold the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from sentinel.address import Address, is_ip
from sentinel.election import adopt_epoch
from sentinel.instances import FailoverState, Master, Peer, same_place
from sentinel.knowledge import all_instances
from sentinel.link import Link
from sentinel.step import Step
from sentinel.switching import switch_master


@dataclass(frozen=True, slots=True)
class Hello:
    """One message, taken apart."""

    ip: str
    port: int
    run_id: str
    current_epoch: int
    master_name: str
    master_ip: str
    master_port: int
    master_config_epoch: int

    @classmethod
    @lru_cache(256)
    def parse(cls, text: str) -> Hello | None:
        """The message, or None where it is none: anybody can publish on that channel.

        Remembered, because the nodes of a cluster pass each on to all who listen to any of them, and few ever change.
        """
        fields = text.split(",")
        if len(fields) != 8:
            return None
        ip, port, run_id, epoch, name, master_ip, master_port, config_epoch = fields
        numbers = (port, epoch, master_port, config_epoch)
        if not all(number.isascii() and number.isdigit() and len(number) < 20 for number in numbers):
            return None
        # They come to stand in the configuration file and in lines of the log.
        if not all(text.isprintable() and text and " " not in text for text in (ip, run_id, master_ip)):
            return None
        if not (0 < int(port) < 65536 and 0 < int(master_port) < 65536):
            return None
        return cls(ip, int(port), run_id, int(epoch), name, master_ip, int(master_port), int(config_epoch))

    def __str__(self) -> str:
        return (
            f"{self.ip},{self.port},{self.run_id},{self.current_epoch},"
            f"{self.master_name},{self.master_ip},{self.master_port},{self.master_config_epoch}"
        )


def compose(step: Step, master: Master, link: Link) -> str:
    """What we say about ourselves and `master` on `link`."""
    memory = step.knowledge.memory
    address = current_address(master)
    return str(
        Hello(
            memory.announce_ip or link.local_ip,
            memory.announce_port or step.knowledge.port,
            memory.my_id,
            memory.current_epoch,
            master.name,
            step.knowledge.shown(address),
            address.port,
            master.config_epoch,
        )
    )


def current_address(master: Master) -> Address:
    """Where clients should go: the promoted replica as soon as it is known to be master."""
    failover = master.failover
    if failover is None or failover.promoted is None:
        return master.address
    known = failover.state in (FailoverState.RECONF_SLAVES, FailoverState.UPDATE_CONFIG)
    return failover.promoted.address if known else master.address


def say_hello_now(master: Master) -> None:
    """Send the next hello of everyone's at once: there is news."""
    for instance in all_instances(master):
        instance.hello_sent_at = None


def take_hello(step: Step, text: str) -> Master | None:
    """Learn from a hello message; returns the master it was about, if it is one of ours."""
    hello = Hello.parse(text)
    if hello is None or hello.run_id == step.knowledge.my_id:
        return None
    master = step.knowledge.masters.get(hello.master_name)
    if master is None or not (_can_be_reached(step, hello.ip) and _can_be_reached(step, hello.master_ip)):
        return None
    peer = _introduce(step, master, hello)
    adopt_epoch(step, hello.current_epoch)
    peer.hello_at = step.now
    if hello.master_config_epoch > master.config_epoch:
        _take_configuration(step, master, peer, hello)
    return master


def _can_be_reached(step: Step, host: str) -> bool:
    """A name is of use only to who may look it up; nor would our file be read again with one in it."""
    return is_ip(host) or step.knowledge.memory.resolve_hostnames


def _introduce(step: Step, master: Master, hello: Hello) -> Peer:
    """The sentinel that speaks, made known if it is new or has moved."""
    address = Address.of(hello.ip, hello.port)
    peer = master.peers.get(hello.run_id)
    if peer is not None and _same(peer, address):
        return peer
    if peer is not None:
        shown = step.knowledge.shown(address)
        step.note("+sentinel-address-switch", master, master, f" ip {shown} port {hello.port} for {hello.run_id}")
        # It moved for every master it watches, not only for the one it happened to speak about first.
        for other in step.knowledge.masters.values():
            if _forget(step, other, lambda known: known.run_id == hello.run_id) and other is not master:
                step.knowledge.add_peer(other, address, hello.run_id, step.now)
    else:
        for usurped in [known for known in master.peers.values() if _same(known, address)]:
            # Two ids at one address: the older one is of a sentinel that is no more.
            step.note("+sentinel-invalid-addr", master, usurped)
        for other in step.knowledge.masters.values():
            _forget(step, other, lambda known: known.run_id != hello.run_id and _same(known, address))
    new = step.knowledge.add_peer(master, address, hello.run_id, step.now)
    if peer is None:
        step.note("+sentinel", master, new)
    step.save()
    return new


def _same(peer: Peer, address: Address) -> bool:
    return same_place(address.host, address.port, peer.address)


def _forget(step: Step, master: Master, unwanted: Callable[[Peer], bool]) -> bool:
    """Drop such peers of one master; returns whether there were any."""
    gone = [peer for peer in master.peers.values() if unwanted(peer)]
    for peer in gone:
        del master.peers[peer.run_id]
        step.effects += step.knowledge.forget(peer)
    return bool(gone)


def _take_configuration(step: Step, master: Master, peer: Peer, hello: Hello) -> None:
    """Somebody won a later failover than the one we know of."""
    master.config_epoch = hello.master_config_epoch
    step.save()
    if same_place(hello.master_ip, hello.master_port, master.address):
        return
    step.warn("+config-update-from", master, peer)
    switch_master(step, master, Address.of(hello.master_ip, hello.master_port))
