"""Who stays subscribed to a shard channel when slots and masters change."""

from __future__ import annotations

import pytest

from cluster.membership import ClusterState, NodeEntry
from cluster.slots import ALL_SLOTS, key_slot, slot_set
from node.session import NodeSession
from node.shard_channels import ShardChannels
from wire.pubsub import Broker

ONE, TWO = slot_set([key_slot(b"one")]), slot_set([key_slot(b"two")])


class Seat:
    """This node, the master of all slots or a replica of that, a third node, and a client that listens here."""

    def __init__(self, *, replica: bool) -> None:
        self.me, self.master, self.other = (NodeEntry(letter * 40) for letter in "abc")
        self.state = ClusterState(self.me)
        for node in (self.me, self.master, self.other):
            node.is_master = True
        self.state.add(self.master)
        self.state.add(self.other)
        self.state.assign(ALL_SLOTS, self.master if replica else self.me)
        if replica:
            self.state.become_replica(self.me, self.master)
        self.broker = Broker()
        self.channels = ShardChannels(self.state, self.broker)
        self.client = NodeSession(1, None, 0)
        for channel in (b"one", b"two"):
            self.broker.ssubscribe(self.client, channel)

    def hears(self) -> bytes:
        """What the client is told, now that the tables have changed."""
        self.channels.follow_slots()
        said = b"".join(self.client.out)
        self.client.out.clear()
        return said


def ended(channel: bytes, count: int) -> bytes:
    return b"*3\r\n$12\r\nsunsubscribe\r\n$3\r\n%b\r\n:%d\r\n" % (channel, count)


def test_each_hears_of_its_own_slot() -> None:
    seat = Seat(replica=False)
    assert seat.hears() == b""
    seat.state.assign(TWO, seat.other)
    assert seat.hears() == ended(b"two", 1)
    assert list(seat.client.shard_channels) == [b"one"]
    seat.state.unassign(ONE)
    assert seat.hears() == ended(b"one", 0)
    assert seat.client.kind == "normal"


def test_one_who_was_sent_to_an_arriving_slot_stays() -> None:
    seat = Seat(replica=False)
    seat.broker.sunsubscribe(seat.client, b"one")
    seat.state.assign(ONE, seat.other)
    assert seat.hears() == b""
    seat.state.open_slot(seat.state.importing, key_slot(b"one"), seat.other)
    seat.broker.ssubscribe(seat.client, b"one")
    assert seat.hears() == b""
    seat.state.assign(ONE, seat.me)
    assert seat.hears() == b""
    assert len(seat.client.shard_channels) == 2


def test_a_replica_that_takes_over_keeps_its_subscribers() -> None:
    seat = Seat(replica=True)
    seat.state.become_master(seat.me)
    seat.state.assign(ALL_SLOTS, seat.me)
    assert seat.hears() == b""
    assert len(seat.client.shard_channels) == 2


@pytest.mark.parametrize("in_one_step", [True, False])
def test_a_replica_whose_master_is_replaced_does_not(in_one_step: bool) -> None:
    seat = Seat(replica=True)
    seat.state.assign(ALL_SLOTS, seat.other)
    heard = b"" if in_one_step else seat.hears()
    seat.state.become_replica(seat.me, seat.other)
    heard += seat.hears()
    first, second = sorted([b"one", b"two"], key=key_slot)
    assert heard == ended(first, 1) + ended(second, 0)


def test_a_replica_that_is_given_another_master_does_not() -> None:
    seat = Seat(replica=True)
    seat.state.become_replica(seat.me, seat.other)
    assert seat.hears()
    assert not seat.client.shard_channels
