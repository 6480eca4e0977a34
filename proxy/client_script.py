"""Scripts by their digest."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from hashlib import sha1
from typing import Any

from wire.errors import Error


class Script:
    """One Lua script. Nodes forget scripts (a restart, a failover), so a node that does not know it gets it whole."""

    __slots__ = ("_execute", "_source", "sha")

    def __init__(self, execute: Callable[..., Coroutine[Any, Any, Any]], source: bytes) -> None:
        self._execute = execute
        self._source = source
        # The digest that EVALSHA takes.
        self.sha = sha1(source, usedforsecurity=False).hexdigest().encode()

    async def run(self, keys: Sequence[Any] = (), arguments: Sequence[Any] = ()) -> Any:
        """Run it with these keys, which must be in one slot; raises as `ClusterClient.execute` does."""
        words = (len(keys), *keys, *arguments)
        try:
            return await self._execute("EVALSHA", self.sha, *words)
        except Error as error:
            if not error.text.startswith(b"NOSCRIPT"):
                raise
        return await self._execute("EVAL", self._source, *words)
