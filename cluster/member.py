"""The node that takes part in a cluster, as the bus sees it: what the rules can ask of it.

What the rules read of the node is `cluster.events.Facts`.
"""

from __future__ import annotations

from typing import Protocol


class Member(Protocol):
    """The node that takes part in the cluster: what the rules can ask of it."""

    def follow(self, ip: str, port: int, *, unrelated: bool) -> None:
        """Be a replica of the node at that address; asking for the same again changes nothing.

        `unrelated`: what is here is no earlier state of that node's data.
        """
        ...

    def promote(self) -> None:
        """Be a master, with the data at hand."""
        ...

    def empty(self) -> None:
        """Delete all keys."""
        ...

    def drop_slots(self, slots: tuple[int, ...]) -> None:
        """Delete the keys of these slots."""
        ...

    def topology_changed(self) -> None:
        """Slots have other owners, or nodes other roles or addresses."""
        ...

    def state_changed(self, ok: bool) -> None:
        """The cluster works again, or no more."""
        ...

    def pause_writes(self, until_ms: float) -> None:
        """Hold back what clients write, until that time of the loop or `unpause_writes`."""
        ...

    def unpause_writes(self) -> None: ...

    def deliver(self, channel: bytes, payload: bytes, sharded: bool) -> None:
        """Pass a message published at another node to this node's subscribers."""
        ...

    def cannot_save(self, error: OSError) -> None:
        """nodes.conf could not be written: a node that forgets its votes must not go on. Ends the process."""
        ...
