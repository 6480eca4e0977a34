"""The rules that keep a sentinel's failovers safe, by name, so that a test or a lesson can take one away.

As in `cluster.safeguards`: all are on, and no configuration file reaches them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SentinelSafeguards:
    """Each names what holds while it is true."""

    # One vote an epoch for each master. Otherwise two sentinels win one election, and promote a replica each.
    vote_once_per_epoch: bool = True
    # Of several replicas the one with the most data is promoted. Otherwise what only the others have is lost.
    most_data_first: bool = True
