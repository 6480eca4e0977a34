"""Up to what size Redis keeps a collection in one compact piece; and what the hashes of a node have in common."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.structures.records import Shapes


@dataclass(frozen=True, slots=True)
class CompactLimits:
    """The directives `hash-max-listpack-entries` and their like, with Redis' own values; lengths are in bytes."""

    hash_entries: int = 512
    hash_value: int = 64
    intset_entries: int = 512
    zset_entries: int = 128
    zset_value: int = 64
    # Of the hashes that are kept packed.
    shapes: Shapes = field(default_factory=Shapes, compare=False)


DEFAULT_LIMITS = CompactLimits()
