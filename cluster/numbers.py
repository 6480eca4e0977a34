"""Small numbers for the ids of nodes, so that what is known of each can lie in a list.

A heartbeat of a large cluster says something of a tenth of all nodes. A list takes a fifth of a dict's memory, and
is looked at in one place where a dict is in three. The nodes of a simulation can share one of these, which then is
the same memory for all of them.
"""

from __future__ import annotations


class Numbers:
    """Those of one process. 0 is nobody's."""

    __slots__ = ("_free", "_holders", "ids", "of")

    def __init__(self) -> None:
        # The number of each id, and the id of each number, "" while it has none.
        self.of: dict[str, int] = {}
        self.ids: list[str] = [""]
        # How many tables a number is in use in, and numbers that are in none.
        self._holders: list[int] = [0]
        self._free: list[int] = []

    def take(self, node_id: str) -> int:
        """The number of an id, which is now in one more table."""
        number = self.of.get(node_id)
        if number is None:
            if self._free:
                number = self._free.pop()
            else:
                number = len(self.ids)
                self.ids.append("")
                self._holders.append(0)
            self.of[node_id] = number
            self.ids[number] = node_id
        self._holders[number] += 1
        return number

    def drop(self, node_id: str) -> None:
        """An id has left a table. Whoever comes next may have its number, once it is in no other."""
        number = self.of[node_id]
        self._holders[number] -= 1
        if not self._holders[number]:
            del self.of[node_id]
            self.ids[number] = ""
            self._free.append(number)
