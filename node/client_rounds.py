"""Looking at every client once a second, a part of them at each beat of the clockwork (like Redis' clientsCron).

With ten thousand clients a look at all of them at once is a pause that others notice; few are looked at together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from node.session import NodeSession
from node.settings import NodeSettings
from wire.clients import Clients

# So many are looked at in one beat at least.
_FEW: Final = 500


class ClientRounds:
    """Who is still to be looked at in this round."""

    __slots__ = ("_clients", "_left", "_looks", "_part", "_settings")

    def __init__(
        self, settings: NodeSettings, clients: Clients[NodeSession], *looks: Callable[[NodeSession], None]
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._looks = looks
        self._left: list[NodeSession] = []
        # How many a beat.
        self._part = _FEW

    def beat(self) -> None:
        """Look at the next part."""
        left = self._left
        if not left:
            left = list(self._clients)
            self._part = max(_FEW, -(-len(left) // self._settings.hz))
        self._left, sessions = left[self._part :], left[: self._part]
        known = self._clients.by_id
        for look in self._looks:
            for session in sessions:
                # One may have left since the round began, or because of what was seen.
                if session.id in known:
                    look(session)
