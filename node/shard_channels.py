"""Shard channels have their home where their slot has it (Redis documentation, "Sharded Pub/Sub").

When a slot leaves this node, those who listen to its channels here would hear nothing more. So they are unsubscribed,
and the confirmation that they get without having asked for it tells them to look for the slot's new owner.
"""

from __future__ import annotations

from cluster.membership import ClusterState
from cluster.slots import key_slot
from wire.pubsub import Broker


class ShardChannels:
    """Keeps the subscribers of a node in step with its slots."""

    __slots__ = ("_broker", "_master", "_slots", "_state")

    def __init__(self, state: ClusterState, broker: Broker) -> None:
        self._state = state
        self._broker = broker
        # The slots served here when this last looked, and whose they were: this node's or its master's.
        self._master = state.myself.claim
        self._slots = self._master.slots

    def follow_slots(self) -> None:
        """The tables have changed: end the channels of all slots that were served here, and have another home now.

        With a new master all have, even if that took them over from the old one, as in Redis; but not when this node
        did that itself.
        """
        master, slots = self._state.myself.claim, self._slots
        left = slots & ~master.slots if master is self._master or master.myself else slots
        self._master, self._slots = master, master.slots
        if not left:
            return
        channels = [(key_slot(channel), channel) for channel in self._broker.shard_channels]
        for slot, channel in sorted(channels):
            if left >> slot & 1:
                self._broker.end_shard_channel(channel)
