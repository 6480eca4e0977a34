"""What a script or function declares about itself: ``#!lua flags=no-writes,allow-stale``."""

from __future__ import annotations

from wire.errors import Error

NO_WRITES = 1 << 0
ALLOW_OOM = 1 << 1
ALLOW_STALE = 1 << 2
NO_CLUSTER = 1 << 3
ALLOW_CROSS_SLOT_KEYS = 1 << 4
# A script without a shebang line: it may try anything, and each command is judged when it is called.
COMPATIBLE = 1 << 5

NAMES = {
    b"no-writes": NO_WRITES,
    b"allow-oom": ALLOW_OOM,
    b"allow-stale": ALLOW_STALE,
    b"no-cluster": NO_CLUSTER,
    b"allow-cross-slot-keys": ALLOW_CROSS_SLOT_KEYS,
}


def script_flags(body: bytes) -> tuple[int, bytes]:
    """The flags of a script, and its code: the shebang line is left empty, so that lines keep their numbers.

    Raises Error for a shebang that is not understood.
    """
    if not body.startswith(b"#!"):
        return COMPATIBLE, body
    end = body.find(b"\n")
    if end < 0:
        raise Error(b"ERR Invalid script shebang")
    engine, *options = body[:end].split()
    if engine != b"#!lua":
        raise Error(b"ERR Unexpected engine in script shebang: %b" % engine)
    flags = 0
    for option in options:
        if not option.startswith(b"flags="):
            raise Error(b"ERR Unknown lua shebang option: %b" % option)
        words = option.removeprefix(b"flags=")
        for word in words.split(b",") if words else ():
            if word not in NAMES:
                raise Error(b"ERR Unexpected flag in script shebang: %b" % word)
            flags |= NAMES[word]
    return flags, body[end:]
