"""What a server says of itself on the command line, instead of starting: its version, how it is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from wire.front import REDIS_VERSION


def introduce(argv: Sequence[str], usage: str) -> int | None:
    """Answer ``-v`` and ``-h`` as redis-server does; returns the exit status, None if neither was asked for."""
    first = argv[0] if argv else ""
    if first in ("-v", "--version"):
        sys.stdout.write(f"Redis server v={REDIS_VERSION} sha=00000000:0 malloc=libc bits=64 build=shardlab\n")
        return 0
    if first in ("-h", "--help"):
        sys.stderr.write(usage)
        return 1
    return None
