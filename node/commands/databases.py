"""Whole databases: listing, counting, emptying and exchanging them."""

from __future__ import annotations

from bisect import bisect_left
from itertools import chain
from random import Random

from cluster.slots import SLOTS
from node.call import Call
from node.database import DELETE_EXPIRED, Database
from wire.arguments import parse_int32
from wire.command import ARBITRARY_KEYS, FAST, READONLY, WRITE, command
from wire.errors import SYNTAX, Error
from wire.glob import matcher
from wire.reply import OK, Bulks, Reply

# Expired keys that RANDOMKEY meets before it gives up on a replica, as in Redis, and that it deletes on a master.
_RANDOM_TRIES = 100
_DELETED_MAX = 16
_BAD_FIRST = b"ERR invalid first DB index"
_BAD_SECOND = b"ERR invalid second DB index"


@command(
    "DBSIZE",
    arity=1,
    flags=READONLY | FAST,
    group="server",
    since="1.0.0",
    complexity="O(1)",
    summary="Returns the number of keys in the database.",
    categories=("keyspace",),
    tips=("request_policy:all_shards", "response_policy:agg_sum"),
)
def dbsize(call: Call) -> Reply:
    return call.db.size


@command(
    "KEYS",
    arity=2,
    flags=READONLY,
    group="generic",
    since="1.0.0",
    complexity="O(N) with N being the number of keys in the database, under the assumption that the key names in the "
    "database and the given pattern have limited length.",
    summary="Returns all key names that match a pattern.",
    syntax="pattern",
    categories=("keyspace", "dangerous"),
    tips=("request_policy:all_shards", "nondeterministic_output_order"),
)
def keys(call: Call) -> Reply:
    db = call.db
    pattern = call.argv[1]
    names = chain.from_iterable(map(db.visible_in_slot, db.filled_slots())) if db.volatile else db
    return Bulks(names if pattern == b"*" else filter(matcher(pattern), names))


@command(
    "RANDOMKEY",
    arity=1,
    flags=READONLY | ARBITRARY_KEYS,
    group="generic",
    since="1.0.0",
    complexity="O(1)",
    summary="Returns a random key name from the database.",
    tips=("request_policy:all_shards", "nondeterministic_output"),
)
def randomkey(call: Call) -> Reply:
    db = call.db
    chance = call.node.runtime.random.stream("randomkey")
    tries = 0
    while db.size:
        name = db.random_key(chance)
        if db.get(name) is not None:
            return name
        tries += 1
        if call.keyspace.expiry == DELETE_EXPIRED:
            # It has just been deleted. There may be a million of that kind: the others are left to active expiry.
            if tries == _DELETED_MAX:
                return _living_key(db, chance)
        elif tries == _RANDOM_TRIES:
            # A replica may hold nothing but expired keys, and must not look for ever.
            return name
    return None


def _living_key(db: Database, chance: Random) -> bytes | None:
    """A key of the first slot with one that has not expired, from a random slot on; None when there is no such key."""
    slots = list(db.filled_slots())
    first = bisect_left(slots, chance.randrange(SLOTS))
    for slot in slots[first:] + slots[:first]:
        living = db.visible_in_slot(slot)
        if living:
            return chance.choice(living)
    return None


@command(
    "FLUSHDB",
    arity=-1,
    flags=WRITE,
    group="server",
    since="1.0.0",
    complexity="O(N) where N is the number of keys in the selected database",
    summary="Removes all keys from the current database.",
    syntax="[ASYNC | SYNC]",
    categories=("keyspace", "dangerous"),
    tips=("request_policy:all_shards", "response_policy:all_succeeded"),
    history=(
        ("4.0.0", "Added the `ASYNC` flushing mode modifier."),
        ("6.2.0", "Added the `SYNC` flushing mode modifier."),
    ),
)
def flushdb(call: Call) -> Reply:
    _check_flush_mode(call.argv)
    call.node.tracking.flushed()
    call.keyspace.dirty += call.db.clear()
    # Repeated even when nothing was here: a replica may hold what we do not.
    call.propagate(*call.argv)
    return OK


@command(
    "FLUSHALL",
    arity=-1,
    flags=WRITE,
    group="server",
    since="1.0.0",
    complexity="O(N) where N is the total number of keys in all databases",
    summary="Removes all keys from all databases.",
    syntax="[ASYNC | SYNC]",
    categories=("keyspace", "dangerous"),
    tips=("request_policy:all_shards", "response_policy:all_succeeded"),
    history=(
        ("4.0.0", "Added the `ASYNC` flushing mode modifier."),
        ("6.2.0", "Added the `SYNC` flushing mode modifier."),
    ),
)
def flushall(call: Call) -> Reply:
    _check_flush_mode(call.argv)
    call.node.tracking.flushed()
    call.keyspace.dirty += call.keyspace.clear() + 1
    call.node.saver.emptied()
    call.propagate(*call.argv)
    return OK


def _check_flush_mode(argv: list[bytes]) -> None:
    """Both modes are one here: dropping the dicts of a database takes the same time either way."""
    if len(argv) > 2 or (len(argv) == 2 and argv[1].upper() not in (b"ASYNC", b"SYNC")):
        raise Error(SYNTAX)


@command(
    "SWAPDB",
    arity=3,
    flags=WRITE | FAST,
    group="server",
    since="4.0.0",
    complexity="O(N) where N is the count of clients watching or blocking on keys from both databases.",
    summary="Swaps two Redis databases.",
    syntax="index1 index2",
    categories=("keyspace", "dangerous"),
    brief_words=0,
)
def swapdb(call: Call) -> Reply:
    if call.node.mode == "cluster":
        raise Error(b"ERR SWAPDB is not allowed in cluster mode")
    first = parse_int32(call.argv[1], _BAD_FIRST, _BAD_FIRST)
    second = parse_int32(call.argv[2], _BAD_SECOND, _BAD_SECOND)
    try:
        one, two = call.keyspace.database(first), call.keyspace.database(second)
    except IndexError:
        raise Error(b"ERR DB index is out of range") from None
    call.node.tracking.swapped()
    call.keyspace.swap(one, two)
    call.keyspace.dirty += 1
    return OK
