"""Which members several collections have: intersections and differences of sets, and of sorted sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol

from node.structures.table import Table

# So many members are looked up at a time where a limit may end the search.
_PORTION = 256


class Named(Protocol):
    """A collection of members, with something for each or without."""

    def __len__(self) -> int: ...

    def __contains__(self, member: bytes, /) -> bool: ...

    def __iter__(self) -> Iterator[bytes]: ...


def intersection(sources: Sequence[Named], limit: int = 0) -> list[bytes]:
    """The members of all, in the order of the smallest; no more than `limit` of them unless that is 0."""
    smallest, *others = sorted(sources, key=len)
    if not len(smallest):
        return []
    if not limit:
        return _met(smallest, others)
    met: list[bytes] = []
    members = iter(smallest)
    while len(met) < limit and (portion := list(islice(members, _PORTION))):
        met += _met(portion, others)
    return met[:limit]


def _met(members: Iterable[bytes], others: list[Named]) -> list[bytes]:
    """Those of `members` that all `others` have."""
    for other in others:
        members = other.present(members) if isinstance(other, Table) else [one for one in members if one in other]
    return list(members)


def difference(sources: Sequence[Named]) -> list[bytes]:
    """The members of the first that are in none of the others, in its order."""
    first, *others = sources
    members: Iterable[bytes] = first
    for other in sorted(filter(len, others), key=len, reverse=True):
        members = (
            other.missing(members) if isinstance(other, Table) else [name for name in members if name not in other]
        )
    return list(members)
