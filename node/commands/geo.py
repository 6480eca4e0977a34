"""Places: sorted sets whose scores are geohashes. What searches them is in `node.commands.geosearch`."""

from __future__ import annotations

from collections.abc import Iterable

from node.call import Call
from node.commands.sortedsets import add_members
from node.notifications import ZSET
from node.scores import parse_score
from node.structures import geohash
from node.structures.sortedsets import SortedSet
from wire.command import DENYOOM, READONLY, WRITE, command, key
from wire.errors import SYNTAX, Error
from wire.reply import NIL_ARRAY, Digits, Reply

_ADD_OPTIONS = (b"NX", b"XX", b"CH")
# Metres in each unit.
_UNITS = {b"M": 1.0, b"KM": 1000.0, b"FT": 0.3048, b"MI": 1609.34}


@command(
    "GEOADD",
    arity=-5,
    flags=WRITE | DENYOOM,
    keys=key(1, "RW", "update"),
    group="geo",
    since="3.2.0",
    complexity="O(log(N)) for each item added, where N is the number of elements in the sorted set.",
    summary="Add one or more geospatial items in the geospatial index represented using a sorted set",
    syntax="key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]",
    history=(("6.2.0", "Added the `CH`, `NX` and `XX` options."),),
)
def geoadd(call: Call) -> Reply:
    argv = call.argv
    at = 2
    given: set[bytes] = set()
    while at < len(argv) and (option := argv[at].upper()) in _ADD_OPTIONS:
        given.add(option)
        at += 1
    if (len(argv) - at) % 3 or {b"NX", b"XX"} <= given:
        raise Error(SYNTAX)
    positions = [parse_position(*pair) for pair in zip(argv[at::3], argv[at + 1 :: 3], strict=True)]
    if not positions:
        raise Error(SYNTAX)
    scores = [geohash.cell_at(*position).bits for position in positions]
    members = argv[at + 2 :: 3]
    added, changed, _ = add_members(call, members, list(map(float, scores)), given)
    if changed:
        call.notify(ZSET, b"zadd", argv[1])
        pairs = (part for score, member in zip(scores, members, strict=True) for part in (b"%d" % score, member))
        call.propagate(b"zadd", *argv[1:at], *pairs)
    return changed if b"CH" in given else added


def parse_position(longitude_text: bytes, latitude_text: bytes) -> tuple[float, float]:
    """Longitude and latitude; raises Error when there is no such place on a web map."""
    longitude, latitude = parse_score(longitude_text), parse_score(latitude_text)
    if abs(longitude) > geohash.LONGITUDE_MAX or abs(latitude) > geohash.LATITUDE_MAX:
        raise Error(b"ERR invalid longitude,latitude pair %f,%f" % (longitude, latitude))
    return longitude, latitude


def parse_unit(text: bytes) -> float:
    """How many metres a unit has; raises Error."""
    unit = _UNITS.get(text.upper())
    if unit is None:
        raise Error(b"ERR unsupported unit provided. please use M, KM, FT, MI")
    return unit


@command(
    "GEOPOS",
    arity=-2,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="geo",
    since="3.2.0",
    complexity="O(N) where N is the number of members requested.",
    summary="Returns longitude and latitude of members of a geospatial index",
    syntax="key member [member ...]",
)
def geopos(call: Call) -> Reply:
    return [
        NIL_ARRAY if score is None else coordinates(geohash.position_of(score))
        for score in _scores(call, call.argv[2:])
    ]


def coordinates(position: tuple[float, float]) -> Reply:
    """A position in an answer: with as many digits as C's long double shows."""
    texts = [(b"%.17f" % part).rstrip(b"0").rstrip(b".") for part in position]
    return [Digits(b"0" if text == b"-0" else text) for text in texts]


@command(
    "GEODIST",
    arity=-4,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="geo",
    since="3.2.0",
    complexity="O(log(N))",
    summary="Returns the distance between two members of a geospatial index",
    syntax="key member1 member2 [M | KM | FT | MI]",
)
def geodist(call: Call) -> Reply:
    argv = call.argv
    unit = parse_unit(argv[4]) if len(argv) == 5 else 1.0
    if len(argv) > 5:
        raise Error(SYNTAX)
    one, other = _scores(call, argv[2:4])
    if one is None or other is None:
        return None
    return distance_text(geohash.distance_m(geohash.position_of(one), geohash.position_of(other)) / unit)


def distance_text(distance: float) -> bytes:
    """A distance in an answer, a string in RESP3 too."""
    return b"%.4f" % distance


@command(
    "GEOHASH",
    arity=-2,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="geo",
    since="3.2.0",
    complexity="O(log(N)) for each member requested, where N is the number of elements in the sorted set.",
    summary="Returns members of a geospatial index as standard geohash strings",
    syntax="key member [member ...]",
)
def geohash_(call: Call) -> Reply:
    return [
        None if score is None else geohash.standard_text(*geohash.position_of(score))
        for score in _scores(call, call.argv[2:])
    ]


def _scores(call: Call, members: Iterable[bytes]) -> list[float | None]:
    zset = call.db.read_as(call.argv[1], SortedSet)
    return [None if zset is None else zset.scores.get(member) for member in members]
