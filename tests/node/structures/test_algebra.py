"""Intersections and differences beside Python's sets, of small and large collections of every kind."""

from __future__ import annotations

import random
from functools import reduce

import pytest

from node.structures.algebra import Named, difference, intersection
from node.structures.integers import Integers
from node.structures.table import Table


def _collection(chance: random.Random) -> Named:
    members = [b"%d" % number for number in chance.sample(range(1500), chance.choice([0, 1, 20, 400, 900]))]
    kind = chance.choice(["dict", "table", "integers"])
    if kind == "integers":
        numbers = Integers()
        for member in members:
            numbers.put(member)
        return numbers
    return dict.fromkeys(members, True) if kind == "dict" else Table(dict.fromkeys(members, True))


@pytest.mark.parametrize("seed", range(60))
def test_as_sets_have_it(seed: int) -> None:
    chance = random.Random(seed)
    sources = [_collection(chance) for _ in range(chance.choice([1, 2, 3, 4]))]
    first, *others = [set(source) for source in sources]
    met = intersection(sources)
    assert len(met) == len(set(met))
    assert set(met) == reduce(set.intersection, others, first)
    for limit in (1, 7, 300):
        assert intersection(sources, limit) == met[:limit]
    left = difference(sources)
    assert len(left) == len(set(left))
    assert set(left) == reduce(set.difference, others, first)
