"""How long the event loop waits for a timeout that a client gave in milliseconds.

Nobody's time is up early. uvloop counts whole milliseconds, so that a timer of so many may ring up to one too soon; and
Redis, which counts them as well, takes a timeout as over when the millisecond in which it ends is over, too.
"""

from __future__ import annotations

# Whoever asks for more waits for this long; event loops do not like larger numbers. Thirty years.
_MAX_MS = 10**12


def seconds_of(timeout_ms: int) -> float:
    """How far away a timer must be for `timeout_ms` to have passed when it rings."""
    return (min(timeout_ms, _MAX_MS) + 1) / 1000
