"""Sets, member by member, and as a whole.

What combines sets is in `node.commands.set_algebra`, what draws members by chance in `set_sampling`.
"""

from __future__ import annotations

from node.call import Call
from node.commands.scan import ScanOptions, parse_cursor, scan_keys
from node.notifications import GENERIC, SET
from node.structures.sets import Set
from node.structures.table import Table
from wire.command import DENYOOM, FAST, READONLY, WRITE, command, key
from wire.errors import WRONGTYPE, Error
from wire.reply import BulkSet, Reply


@command(
    "SADD",
    arity=-3,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "insert"),
    group="set",
    since="1.0.0",
    complexity="O(1) for each element added, so O(N) to add N elements when the command is called with multiple "
    "arguments.",
    summary="Add one or more members to a set",
    syntax="key member [member ...]",
    history=(("2.4.0", "Accepts multiple `member` arguments."),),
)
def sadd(call: Call) -> Reply:
    argv = call.argv
    name = argv[1]
    db = call.db
    keyspace = call.keyspace
    # What `Database.get_as`, `Set.add` and `Database.changed` do, without the calls where nothing is to be looked at
    # and nobody to be told.
    if name is keyspace.key and not db.looks_closer:
        set_ = db.shards[keyspace.slot].get(name)
    else:
        set_ = db.get(name)
    if type(set_) is Set:
        members = set_.members
        if len(argv) > 3:
            added = len(argv) - 2 - len(set_.add_each(argv[2:], keyspace.limits.intset_entries))
        elif type(members) is Table:
            added = members.put(argv[2], True)
        else:
            added = set_.add(argv[2], keyspace.limits.intset_entries)
        if added:
            keyspace.dirty += added
            if db.attended:
                db.changed(name, 0)
                call.notify(SET, b"sadd", name)
    elif set_ is None:
        set_ = Set()
        added = len(argv) - 2 - len(set_.add_each(argv[2:], keyspace.limits.intset_entries))
        db.put(name, set_)
        keyspace.dirty += added - 1
        call.notify(SET, b"sadd", name)
    else:
        raise Error(WRONGTYPE)
    return added


@command(
    "SREM",
    arity=-3,
    flags=WRITE | FAST,
    keys=key(1, "RW", "delete"),
    group="set",
    since="1.0.0",
    complexity="O(N) where N is the number of members to be removed.",
    summary="Remove one or more members from a set",
    syntax="key member [member ...]",
    history=(("2.4.0", "Accepts multiple `member` arguments."),),
)
def srem(call: Call) -> Reply:
    argv = call.argv
    set_ = call.db.get_as(argv[1], Set)
    return 0 if set_ is None else take_out(call, argv[1], set_, argv[2:], b"srem")


def take_out(call: Call, name: bytes, set_: Set, members: list[bytes], event: bytes) -> int:
    """Take members out of the set at `name`, and the key away when none is left; how many were there."""
    own = set_.members
    before = len(own)
    for member in members:
        own.pop(member, None)
    removed = before - len(own)
    if removed:
        call.db.changed(name, removed)
        call.notify(SET, event, name)
        if not own:
            call.db.remove(name)
            call.keyspace.dirty -= 1
            call.notify(GENERIC, b"del", name)
    return removed


@command(
    "SMOVE",
    arity=4,
    flags=WRITE | FAST,
    keys=key(1, "RW", "access", "delete") + key(2, "RW", "insert"),
    group="set",
    since="1.0.0",
    complexity="O(1)",
    summary="Move a member from one set to another",
    syntax="source destination member",
)
def smove(call: Call) -> Reply:
    _, source, destination, member = call.argv
    db = call.db
    set_ = db.get(source)
    if set_ is None:
        # Of what kind the destination is does not matter then.
        return 0
    set_ = db.get_as(source, Set)
    target = db.get_as(destination, Set)
    assert set_ is not None
    if set_ is target:
        return int(member in set_.members)
    if not take_out(call, source, set_, [member], b"srem"):
        return 0
    intset_max = call.keyspace.limits.intset_entries
    if target is None:
        target = Set()
        target.add(member, intset_max)
        db.put(destination, target)
    elif target.add(member, intset_max):
        db.changed(destination)
    else:
        return 1
    call.notify(SET, b"sadd", destination)
    return 1


@command(
    "SISMEMBER",
    arity=3,
    flags=READONLY | FAST,
    keys=key(1, "RO"),
    group="set",
    since="1.0.0",
    complexity="O(1)",
    summary="Determine if a given value is a member of a set",
    syntax="key member",
)
def sismember(call: Call) -> Reply:
    _, name, member = call.argv
    set_ = call.db.read_as(name, Set)
    return int(set_ is not None and member in set_.members)


@command(
    "SMISMEMBER",
    arity=-3,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="set",
    since="6.2.0",
    complexity="O(N) where N is the number of elements being checked for membership",
    summary="Returns the membership associated with the given elements for a set",
    syntax="key member [member ...]",
)
def smismember(call: Call) -> Reply:
    argv = call.argv
    set_ = call.db.read_as(argv[1], Set)
    if set_ is None:
        return [0] * (len(argv) - 2)
    members = set_.members
    return [int(member in members) for member in argv[2:]]


@command(
    "SCARD",
    arity=2,
    flags=READONLY | FAST,
    keys=key(1, "RO"),
    group="set",
    since="1.0.0",
    complexity="O(1)",
    summary="Get the number of members in a set",
    syntax="key",
)
def scard(call: Call) -> Reply:
    set_ = call.db.read_as(call.argv[1], Set)
    return 0 if set_ is None else len(set_.members)


@command(
    "SMEMBERS",
    arity=2,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="set",
    since="1.0.0",
    complexity="O(N) where N is the set cardinality.",
    summary="Get all the members in a set",
    syntax="key",
    tips=("nondeterministic_output_order",),
)
def smembers(call: Call) -> Reply:
    set_ = call.db.read_as(call.argv[1], Set)
    return BulkSet() if set_ is None else BulkSet(set_.listed())


@command(
    "SSCAN",
    arity=-3,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="set",
    since="2.8.0",
    complexity="O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to "
    "return back to 0. N is the number of elements inside the collection..",
    summary="Incrementally iterate Set elements",
    syntax="key cursor [MATCH pattern] [COUNT count]",
    tips=("nondeterministic_output",),
)
def sscan(call: Call) -> Reply:
    argv = call.argv
    cursor = parse_cursor(argv[2])
    set_ = call.db.read_as(argv[1], Set)
    if set_ is None:
        return [b"0", []]
    return scan_keys(set_.mapping(), cursor, ScanOptions(argv, 3), whole=set_.compact)
