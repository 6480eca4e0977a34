"""HyperLogLogs: PFADD, PFCOUNT, PFMERGE. The values are strings (`node.hyperloglog`)."""

from __future__ import annotations

from collections.abc import Iterator

from node.call import Call
from node.hyperloglog import value as hll
from node.hyperloglog.estimate import REGISTERS
from node.notifications import STRING
from wire.command import ADMIN, DENYOOM, FAST, MAY_REPLICATE, READONLY, WRITE, KeySpec, command, key
from wire.errors import Error, until_nul
from wire.reply import OK, Reply, Simple

_COUNT_NOTES = "RW because it may change the internal representation of the key, and propagate to replicas"


@command(
    "PFADD",
    arity=-2,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "insert"),
    group="hyperloglog",
    since="2.8.9",
    complexity="O(1) to add every element.",
    summary="Adds elements to a HyperLogLog key. Creates the key if it doesn't exist.",
    syntax="key [element [element ...]]",
)
def pfadd(call: Call) -> Reply:
    name = call.argv[1]
    value = _changeable(call, name)
    changes = 0
    if value is None:
        value = hll.new()
        changes = 1
    sparse_max = call.node.settings.hll_sparse_max_bytes
    changes += hll.raise_registers(value, map(hll.place, call.argv[2:]), sparse_max)
    if not changes:
        return 0
    hll.forget_estimate(value)
    _store(call, name, value, changes)
    return 1


@command(
    "PFCOUNT",
    arity=-2,
    flags=READONLY | MAY_REPLICATE,
    keys=(KeySpec(1, ("RW", "access"), last=-1, notes=_COUNT_NOTES),),
    group="hyperloglog",
    since="2.8.9",
    complexity="O(1) with a very small average constant time when called with a single key. O(N) with N being the "
    "number of keys, and much bigger constant times, when called with multiple keys.",
    summary="Returns the approximated cardinality of the set(s) observed by the HyperLogLog key(s).",
    syntax="key [key ...]",
)
def pfcount(call: Call) -> Reply:
    names = call.argv[1:]
    db = call.db
    if len(names) > 1:
        merged, _ = _merged(call, names)
        return hll.cardinality(merged)
    value = db.read_string(names[0])
    if value is None:
        return 0
    hll.check(value)
    value = db.unshare_string(names[0])
    known = hll.cached_estimate(value)
    if known is not None:
        return known
    cardinality = hll.cardinality(hll.registers(value))
    # A reader that writes: the estimate is kept in the value, and replicas are told to do the same.
    hll.cache_estimate(value, cardinality)
    db.changed(names[0])
    call.propagate(*call.argv)
    return cardinality


def _merged(call: Call, names: list[bytes]) -> tuple[bytes, bool]:
    """Each register at its highest in any of the values, and whether one of them is dense; raises Error, and reads no
    further, at the first that is no sound HyperLogLog."""
    merged, dense = bytes(REGISTERS), False
    for name in names:
        value = call.db.read_string(name)
        if value is not None:
            hll.check(value)
            merged = hll.highest(merged, hll.registers(value))
            dense = dense or hll.is_dense(value)
    return merged, dense


@command(
    "PFMERGE",
    arity=-2,
    flags=WRITE | DENYOOM,
    keys=key(1, "RW", "access", "insert") + (KeySpec(2, ("RO", "access"), last=-1),),
    group="hyperloglog",
    since="2.8.9",
    complexity="O(N) to merge N HyperLogLogs, but with high constant times.",
    summary="Merges one or more HyperLogLog values into a single key.",
    syntax="destkey [sourcekey [sourcekey ...]]",
)
def pfmerge(call: Call) -> Reply:
    target = call.argv[1]
    merged, dense = _merged(call, call.argv[1:])
    value = _changeable(call, target)
    if value is None:
        value = hll.new()
    if dense:
        hll.make_dense(value)
    hll.raise_registers(value, _places_while_sparse(value, merged), call.node.settings.hll_sparse_max_bytes)
    if hll.is_dense(value):
        # Here the order says nothing: all at once.
        hll.replace_registers(value, merged)
    hll.forget_estimate(value)
    _store(call, target, value, 1)
    return OK


def _places_while_sparse(value: bytearray, registers: bytes) -> Iterator[tuple[int, int]]:
    for place in enumerate(registers):
        if hll.is_dense(value):
            return
        if place[1]:
            yield place


def _changeable(call: Call, name: bytes) -> bytearray | None:
    """A copy of the value, so that one that turns out to be damaged stays as it was."""
    value = call.db.get_string(name)
    if value is None:
        return None
    hll.check(value)
    return bytearray(call.db.unshare_string(name))


def _store(call: Call, name: bytes, value: bytearray, changes: int) -> None:
    call.db.replace(name, value)
    call.keyspace.dirty += changes - 1
    call.notify(STRING, b"pfadd", name)


@command(
    "PFDEBUG",
    arity=3,
    flags=WRITE | DENYOOM | ADMIN,
    keys=key(2, "RW", "access"),
    group="hyperloglog",
    since="2.8.9",
    complexity="N/A",
    summary="Internal commands for debugging HyperLogLog values.",
    syntax="subcommand key",
)
def pfdebug(call: Call) -> Reply:
    _, verb, name = call.argv
    value = _changeable(call, name)
    if value is None:
        raise Error(b"ERR The specified key does not exist")
    word = verb.upper()
    if word == b"GETREG":
        registers = list(hll.registers(value))
        if not hll.is_dense(value):
            _make_dense(call, name, value)
        return registers
    if word == b"DECODE":
        return hll.readable(value)
    if word == b"ENCODING":
        return Simple(b"dense" if hll.is_dense(value) else b"sparse")
    if word == b"TODENSE":
        if hll.is_dense(value):
            return 0
        _make_dense(call, name, value)
        return 1
    raise Error(b"ERR Unknown PFDEBUG subcommand '%b'" % until_nul(verb))


def _make_dense(call: Call, name: bytes, value: bytearray) -> None:
    hll.make_dense(value)
    call.db.replace(name, value)


@command(
    "PFSELFTEST",
    arity=1,
    flags=ADMIN,
    group="hyperloglog",
    since="2.8.9",
    complexity="N/A",
    summary="An internal command for testing HyperLogLog values.",
)
def pfselftest(call: Call) -> Reply:
    """Whether estimates are what they should be, in both encodings, up to ten thousand elements."""
    value, dense = hll.new(), hll.new()
    hll.make_dense(dense)
    sparse_max = call.node.settings.hll_sparse_max_bytes
    before = 0
    for count in (10, 100, 1000, 10_000):
        places = [hll.place(b"element-%d" % number) for number in range(before, count)]
        for one in (value, dense):
            hll.raise_registers(one, places, sparse_max)
        registers = hll.registers(value)
        if registers != hll.registers(dense):
            raise Error(b"ERR TESTFAILED dense/sparse disagree")
        if abs(hll.cardinality(registers) - count) > count * 0.05 + 1:
            raise Error(b"ERR TESTFAILED Too big error. card:%d" % count)
        before = count
    return OK
