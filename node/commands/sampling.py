"""Elements drawn by chance, for HRANDFIELD and SRANDMEMBER."""

from __future__ import annotations

from typing import Any

from node.call import Call
from node.structures.table import Drawable, random_keys, random_keys_repeating
from wire.errors import OUT_OF_RANGE, Error

# Redis would go on until its memory is used up.
_REPEATING_MAX = 1 << 24
# What an element takes in a reply at the least: an empty one, with its length.
_REPLY_BYTES_MIN = 6


def draw(call: Call, keys: dict[bytes, Any] | Drawable, count: int) -> list[bytes]:
    """So many different keys; with a negative count so many that may come again."""
    chance = call.node.runtime.random.stream(call.command.name)
    if count >= 0:
        return random_keys(keys, count, chance)
    if -count > _REPEATING_MAX:
        session = call.session
        limits = call.node.service.output_limits
        if session.connection is None or not limits.is_hard(session, -count * _REPLY_BYTES_MIN):
            raise Error(OUT_OF_RANGE)
        # So it would end there, too.
        limits.drop(session)
        return []
    return random_keys_repeating(keys, -count, chance)
