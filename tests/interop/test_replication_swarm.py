"""A few seeds of the replication swarm, and the proof that it notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.real_nodes import needs_redis
from tests.interop.replication_swarm import swarm

pytestmark = needs_redis


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", [1, 5])
def test_all_end_with_the_same_data(tmp_path: Path, seed: int) -> None:
    with swarm(seed, tmp_path) as running:
        for _ in range(2):
            running.round()


@pytest.mark.timeout(90)
def test_a_write_that_nobody_else_has_is_noticed(tmp_path: Path) -> None:
    with swarm(3, tmp_path) as running:
        running.settle()
        replica = next(iter(running.follows))
        replica.ask("CONFIG", "SET", "replica-read-only", "no")
        replica.ask("SET", "s:1", "its own")
        with pytest.raises(AssertionError, match="b's:1' in 0"):
            running.settle(timeout_s=1.0)
