"""How many nodes a radix tree has: XINFO STREAM tells it of the tree in which Redis keeps the nodes of a stream.

A choice among bytes is a node of the tree, a stretch of bytes without a choice is one, and so is the end of each key.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from node.structures.stream_ids import ID_BITS


def radix_tree_nodes(ids: Sequence[int]) -> int:
    """The nodes of a tree whose keys are the sixteen bytes of each of these ids, which ascend: O(n)."""
    # How many bytes neighbours have in common; no key has any with what is beyond the ends.
    common = [ID_BITS - (one ^ other).bit_length() >> 3 for one, other in pairwise(ids)]
    count = 1 if not ids else 0
    # The depths of the choices on the way to a key, below a depth that none has.
    choices = [-1]
    for depth in (*common, -1):
        while choices[-1] > depth:
            choice = choices.pop()
            count += _with_stretch(choice, max(choices[-1], depth))
        if choices[-1] != depth:
            choices.append(depth)
    for left, right in zip((-1, *common), (*common, -1), strict=True) if ids else ():
        count += _with_stretch(ID_BITS >> 3, max(left, right))
    return count


def _with_stretch(depth: int, above: int) -> int:
    """The node at `depth`, and the one for the bytes between it and the byte chosen at the choice `above` it."""
    return 1 + (depth > above + 1)
