"""Seeded generators, one stream per purpose.

One more draw in one place then leaves every other place's sequence alone, which keeps a
simulation's seed meaningful while the code around it changes.
"""

from __future__ import annotations

import os
import random
from hashlib import sha256

_HEX = "0123456789abcdef"


class Randomness:
    """All chance of one process, derived from one seed."""

    __slots__ = ("_seed", "_streams")

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        # Streams by purpose, made on first use and shared by all who name the same purpose.
        self._streams: dict[str, random.Random] = {}

    @classmethod
    def from_system(cls) -> Randomness:
        """Randomness that differs in every process (the operating system's)."""
        return cls(os.urandom(32))

    def stream(self, purpose: str) -> random.Random:
        """The generator for `purpose`; the same object at every call."""
        stream = self._streams.get(purpose)
        if stream is None:
            digest = sha256(self._seed + purpose.encode()).digest()
            stream = self._streams[purpose] = random.Random(digest)
        return stream

    def hex_id(self, purpose: str, length: int = 40) -> str:
        """`length` random lower-case hex digits: node ids, run ids, replication ids."""
        stream = self.stream(purpose)
        return "".join(stream.choice(_HEX) for _ in range(length))
