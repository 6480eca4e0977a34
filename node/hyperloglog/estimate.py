"""From registers to a cardinality: Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017),
the improved raw estimator, which needs no correction for small or large numbers."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log, sqrt

REGISTERS = 1 << 14
# Bits of a hash that remain once 14 have chosen the register.
RANK_MAX = 50
_ALPHA = 0.5 / log(2)


def estimate(histogram: Sequence[int]) -> int:
    """The cardinality, given how many registers have which value, from 0 to 51."""
    m = float(REGISTERS)
    z = m * _tau((m - histogram[RANK_MAX + 1]) / m)
    for rank in range(RANK_MAX, 0, -1):
        z = 0.5 * (z + histogram[rank])
    z += m * _sigma(histogram[0] / m)
    # Rounded half away from zero, as C does.
    return int(_ALPHA * m * m / z + 0.5) if z != inf else 0


def _sigma(x: float) -> float:
    """The sum of x**(2**k) * 2**(k-1), with x itself."""
    if x == 1.0:
        return inf
    y, z = 1.0, x
    while True:
        x *= x
        before = z
        z += x * y
        y += y
        if before == z:
            return z


def _tau(x: float) -> float:
    """A third of 1 - x less the sum of (1 - x**(2**-k))**2 * 2**-k."""
    if x in (0.0, 1.0):
        return 0.0
    y, z = 1.0, 1.0 - x
    while True:
        x = sqrt(x)
        before = z
        y *= 0.5
        z -= (1.0 - x) ** 2 * y
        if before == z:
            return z / 3.0
