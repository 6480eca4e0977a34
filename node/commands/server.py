"""Commands about the node itself: what it is, what time it has, who watches it, and its end."""

from __future__ import annotations

from node.call import Call
from node.info import render
from node.shutdown import ShutdownOptions
from wire.arguments import parse_integer
from wire.command import (
    ADMIN,
    ALLOW_BUSY,
    FAST,
    LOADING,
    NO_MULTI,
    NOSCRIPT,
    READONLY,
    STALE,
    command,
)
from wire.errors import SYNTAX, Error
from wire.front import REDIS_VERSION, SHARDLAB_VERSION
from wire.reply import OK, Reply, Verbatim


@command(
    "INFO",
    arity=-1,
    flags=LOADING | STALE,
    group="server",
    since="1.0.0",
    complexity="O(1)",
    summary="Returns information and statistics about the server.",
    syntax="[section [section ...]]",
    tips=("nondeterministic_output", "request_policy:all_shards", "response_policy:special"),
    categories=("dangerous",),
    history=(("7.0.0", "Added support for taking multiple section arguments."),),
    brief_words=0,
)
def info(call: Call) -> Reply:
    wanted = [name.lower().decode("utf-8", "replace") for name in call.argv[1:]]
    return Verbatim(render(call.node, wanted).encode())


@command(
    "TIME",
    arity=1,
    flags=LOADING | STALE | FAST,
    group="server",
    since="2.6.0",
    complexity="O(1)",
    summary="Returns the server time.",
    tips=("nondeterministic_output",),
)
def time_(call: Call) -> Reply:
    now_us = call.front.clock.wall_us()
    return [b"%d" % (now_us // 1_000_000), b"%d" % (now_us % 1_000_000)]


@command(
    "MONITOR",
    arity=1,
    flags=ADMIN | NOSCRIPT | LOADING | STALE,
    group="server",
    since="1.0.0",
    complexity="",
    summary="Listens for all requests received by the server in real-time.",
)
def monitor(call: Call) -> Reply:
    if not call.session.monitoring:
        call.node.monitor.add(call.session)
    return OK


# How many sizes Redis' pictures take, by its version that brought them.
_PICTURE_SIZES = {5: 3, 6: 2}


@command(
    "LOLWUT",
    arity=-1,
    flags=READONLY | FAST,
    group="server",
    since="5.0.0",
    complexity="",
    summary="Displays computer art and the Redis version",
    syntax="[VERSION version:integer]",
    brief_words=0,
)
def lolwut(call: Call) -> Reply:
    if len(call.argv) > 2 and call.argv[1].upper() == b"VERSION":
        # Every version of the picture is the same, but must be one, and its sizes must be numbers.
        version = parse_integer(call.argv[2])
        for size in call.argv[3 : 3 + _PICTURE_SIZES.get(version, 0)]:
            parse_integer(size)
    shards = "\n".join("".join("/\\"[(row + column) % 2] for column in range(24)) for row in range(4))
    return Verbatim(f"{shards}\nRedis ver. {REDIS_VERSION}, Shardlab {SHARDLAB_VERSION}\n".encode())


@command(
    "SHUTDOWN",
    arity=-1,
    flags=ADMIN | NOSCRIPT | LOADING | STALE | NO_MULTI | ALLOW_BUSY,
    group="server",
    since="1.0.0",
    complexity="O(N) when saving, where N is the total number of keys in all databases when saving data, "
    "otherwise O(1)",
    summary="Synchronously saves the database(s) to disk and shuts down the Redis server.",
    syntax="[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
    history=(("7.0.0", "Added the `NOW`, `FORCE` and `ABORT` modifiers."),),
)
def shutdown(call: Call) -> Reply:
    words = [word.upper() for word in call.argv[1:]]
    if any(word not in (b"NOSAVE", b"SAVE", b"NOW", b"FORCE", b"ABORT") for word in words):
        raise Error(SYNTAX)
    if (b"ABORT" in words and len(words) > 1) or (b"SAVE" in words and b"NOSAVE" in words):
        raise Error(SYNTAX)
    ending = call.node.shutdown
    if words == [b"ABORT"]:
        if not ending.abort():
            raise Error(b"ERR No shutdown in progress.")
        return OK
    save = True if b"SAVE" in words else False if b"NOSAVE" in words else None
    reply = call.park()
    session = call.session

    def failed(error: Error) -> None:
        if session.parked:
            session.answer_later(error)

    ending.request(ShutdownOptions(save, b"NOW" in words, b"FORCE" in words), failed)
    return reply
