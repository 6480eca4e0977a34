"""Up to what size Redis keeps a collection in one compact piece, as far as what is loaded must know it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CompactLimits:
    """The directives `hash-max-listpack-entries` and their like, with Redis' own values; lengths are in bytes."""

    hash_entries: int = 512
    hash_value: int = 64
    intset_entries: int = 512
    zset_entries: int = 128
    zset_value: int = 64


DEFAULT_LIMITS = CompactLimits()
