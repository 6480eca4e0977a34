"""math.random of scripts: POSIX' drand48 generator, begun alike in every server, as in Redis."""

from __future__ import annotations

_MULTIPLIER = 0x5DEECE66D
_INCREMENT = 0xB
_MODULUS = 1 << 48
# The low 16 bits of a seeded state.
_SEED_LOW = 0x330E
_MAX = (1 << 31) - 1


class Random48:
    """The generator's 48 bits."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = 0
        self.seed(0)

    def seed(self, seed: float) -> None:
        self._state = (int(seed) & 0xFFFFFFFF) << 16 | _SEED_LOW

    def random(self) -> float:
        """A number from 0 to 1, 1 excluded."""
        self._state = (self._state * _MULTIPLIER + _INCREMENT) % _MODULUS
        return (self._state >> 17) % _MAX / _MAX
