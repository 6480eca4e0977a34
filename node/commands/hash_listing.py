"""Hashes as a whole, or in parts that the server chooses."""

from __future__ import annotations

from itertools import chain

from node.arguments import parse_draws
from node.call import Call
from node.commands.hash_access import alive, drawable, is_due
from node.commands.sampling import draw
from node.commands.scan import ScanOptions, parse_cursor, scan_keys
from node.structures.hashes import Hash
from node.structures.table import random_key
from wire.arguments import INT64_MAX
from wire.command import READONLY, command, key
from wire.errors import OUT_OF_RANGE, SYNTAX, Error
from wire.reply import BulkMap, Bulks, Reply


@command(
    "HGETALL",
    arity=2,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="hash",
    since="2.0.0",
    complexity="O(N) where N is the size of the hash.",
    summary="Get all the fields and values in a hash",
    syntax="key",
    tips=("nondeterministic_output_order",),
)
def hgetall(call: Call) -> Reply:
    hash_ = call.db.read_as(call.argv[1], Hash)
    return BulkMap() if hash_ is None else BulkMap(chain.from_iterable(alive(call, hash_).items()))


@command(
    "HKEYS",
    arity=2,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="hash",
    since="2.0.0",
    complexity="O(N) where N is the size of the hash.",
    summary="Get all the fields in a hash",
    syntax="key",
    tips=("nondeterministic_output_order",),
)
def hkeys(call: Call) -> Reply:
    hash_ = call.db.read_as(call.argv[1], Hash)
    return Bulks() if hash_ is None else Bulks(alive(call, hash_))


@command(
    "HVALS",
    arity=2,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="hash",
    since="2.0.0",
    complexity="O(N) where N is the size of the hash.",
    summary="Get all the values in a hash",
    syntax="key",
    tips=("nondeterministic_output_order",),
)
def hvals(call: Call) -> Reply:
    hash_ = call.db.read_as(call.argv[1], Hash)
    return Bulks() if hash_ is None else Bulks(alive(call, hash_).values())


@command(
    "HRANDFIELD",
    arity=-2,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="hash",
    since="6.2.0",
    complexity="O(N) where N is the number of fields returned",
    summary="Get one or multiple random fields from a hash",
    syntax="key [count [WITHVALUES]]",
    tips=("nondeterministic_output",),
)
def hrandfield(call: Call) -> Reply:
    argv = call.argv
    if len(argv) == 2:
        hash_ = call.db.read_as(argv[1], Hash)
        one_of = None if hash_ is None else drawable(call, argv[1], hash_, 1)
        return None if one_of is None else random_key(one_of, call.node.runtime.random.stream("hrandfield"))
    count = parse_draws(argv[2])
    if len(argv) > 4 or (len(argv) == 4 and argv[3].upper() != b"WITHVALUES"):
        raise Error(SYNTAX)
    with_values = len(argv) == 4
    if with_values and abs(count) > INT64_MAX // 2:
        # Redis' own count of the items to answer would overflow.
        raise Error(OUT_OF_RANGE)
    hash_ = call.db.read_as(argv[1], Hash)
    some_of = None if hash_ is None else drawable(call, argv[1], hash_, count)
    if hash_ is None or some_of is None:
        return []
    fields = draw(call, some_of, count)
    return _with_values(hash_, fields, nested=call.session.proto > 2) if with_values else Bulks(fields)


def _with_values(hash_: Hash, fields: list[bytes], *, nested: bool) -> Reply:
    values = hash_.fields
    if nested:
        return [(field, values[field]) for field in fields]
    return Bulks(part for field in fields for part in (field, values[field]))


@command(
    "HSCAN",
    arity=-3,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="hash",
    since="2.8.0",
    complexity="O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to "
    "return back to 0. N is the number of elements inside the collection..",
    summary="Incrementally iterate hash fields and associated values",
    syntax="key cursor [MATCH pattern] [COUNT count]",
    tips=("nondeterministic_output",),
)
def hscan(call: Call) -> Reply:
    argv = call.argv
    cursor = parse_cursor(argv[2])
    hash_ = call.db.read_as(argv[1], Hash)
    if hash_ is None:
        return [b"0", []]
    options = ScanOptions(argv, 3, b"NOVALUES")
    after, fields = scan_keys(hash_.mapping(), cursor, options, whole=hash_.compact)
    if hash_.expiry is not None:
        fields = [field for field in fields if not is_due(call, hash_, field)]
    return [after, Bulks(fields) if options.no_values else _with_values(hash_, fields, nested=False)]
