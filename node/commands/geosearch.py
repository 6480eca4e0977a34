"""Places within a circle or a rectangle: GEOSEARCH, GEOSEARCHSTORE and the older GEORADIUS family.

A search looks through up to nine cells of the grid around its middle, each a range of scores, and keeps what is really
inside. Unsorted results come in the order of the cells, as in Redis.
"""

from __future__ import annotations

from math import hypot, inf

from node.call import Call
from node.commands.geo import coordinates, distance_text, parse_position, parse_unit
from node.commands.sortedset_results import store
from node.scores import ScoreRange, parse_score
from node.structures import geohash
from node.structures.sortedsets import SortedSet
from wire.arguments import parse_integer
from wire.command import DENYOOM, READONLY, WRITE, KeySpec, command, key
from wire.errors import SYNTAX, Error
from wire.key_places import radius_and_stored
from wire.reply import Reply

_NO_SUCH_MEMBER = b"ERR could not decode requested zset member"
# How an answer may be enriched, in the order in which it is.
_WITH = (b"WITHDIST", b"WITHHASH", b"WITHCOORD")

# Member, score, distance from the middle in metres, position.
_Place = tuple[bytes, float, float, tuple[float, float]]


def _stored_keys(begin: int) -> tuple[KeySpec, ...]:
    """The keys behind STORE and STOREDIST."""
    return tuple(KeySpec(begin, ("OW", "update"), keyword=keyword) for keyword in ("STORE", "STOREDIST"))


class _Search:
    """What is looked for, read from the arguments; the order of checks and refusals is Redis'."""

    __slots__ = (
        "any",
        "count",
        "height_m",
        "middle",
        "order",
        "radius_m",
        "store_distances",
        "target",
        "unit",
        "width_m",
        "with_",
    )

    def __init__(self) -> None:
        # Where the search begins; None while it is not known, or the set is not there.
        self.middle: tuple[float, float] | None = None
        # A circle has a radius, a rectangle width and height.
        self.radius_m: float | None = None
        self.width_m = self.height_m = 0.0
        # Metres of the unit that distances are told in.
        self.unit = 1.0
        self.with_: dict[bytes, None] = {}
        self.order = b""
        # At most so many results (0: all), the nearest ones, or, with `any`, the first found.
        self.count = 0
        self.any = False
        # The key for the result, and whether its scores are distances.
        self.target: bytes | None = None
        self.store_distances = False

    def circle(self, radius: bytes, unit: bytes) -> None:
        number = parse_score(radius, b"ERR need numeric radius")
        if number < 0:
            raise Error(b"ERR radius cannot be negative")
        self.unit = parse_unit(unit)
        self.radius_m = number * self.unit

    def rectangle(self, width: bytes, height: bytes, unit: bytes) -> None:
        across = parse_score(width, b"ERR need numeric width")
        along = parse_score(height, b"ERR need numeric height")
        if across < 0 or along < 0:
            raise Error(b"ERR height or width cannot be negative")
        self.unit = parse_unit(unit)
        self.width_m, self.height_m = across * self.unit, along * self.unit

    def common_option(self, word: bytes, rest: list[bytes]) -> int:
        """Take an option of the whole family, `word` in upper case, `rest` behind it; its words, 0 for none such."""
        if word in _WITH:
            self.with_[word] = None
        elif word == b"ANY":
            self.any = True
        elif word in (b"ASC", b"DESC"):
            self.order = word
        elif word == b"COUNT" and rest:
            self.count = parse_integer(rest[0])
            if self.count <= 0:
                raise Error(b"ERR COUNT must be > 0")
            return 2
        else:
            return 0
        return 1

    def check(self, storing: bytes) -> None:
        """What does not go together; `storing` is how Redis calls the option or command that stores."""
        if self.target is not None and self.with_:
            raise Error(b"ERR %b is not compatible with WITHDIST, WITHHASH and WITHCOORD options" % storing)

    def find(self, zset: SortedSet) -> list[_Place]:
        """The places in question, sorted and counted off as asked."""
        places = self._collect(zset)
        if self.order or (self.count and not self.any):
            places.sort(key=_distance, reverse=self.order == b"DESC")
        return places[: self.count] if self.count else places

    def _collect(self, zset: SortedSet) -> list[_Place]:
        middle, radius_m = self.middle, self.radius_m
        assert middle is not None
        if radius_m is None:
            box = geohash.bounding_box(middle, self.width_m / 2, self.height_m / 2)
            reach_m = hypot(self.width_m / 2, self.height_m / 2)
        else:
            box = geohash.bounding_box(middle, radius_m, radius_m)
            reach_m = radius_m
        limit = self.count if self.any else len(zset)
        places: list[_Place] = []
        # Most of what the cells hold is too far away, which is seen without trigonometry. What a rectangle holds may be
        # farther east or west than its own box: great circles lead nearer to the poles.
        frame = geohash.Frame(box if radius_m is not None else box._replace(west=-inf, east=inf))
        for cell in geohash.covering_cells(middle, box, reach_m):
            first, behind = cell.scores()
            pairs = zset.pairs(*zset.ranks_by_score(ScoreRange(first, False, behind, True)))
            for member, score in frame.sift(pairs):
                position = geohash.position_of(score)
                distance = self._distance_if_inside(middle, position)
                if distance is not None:
                    places.append((member, score, distance, position))
                    if len(places) >= limit:
                        return places
        return places

    def _distance_if_inside(self, middle: tuple[float, float], position: tuple[float, float]) -> float | None:
        if self.radius_m is not None:
            distance = geohash.distance_m(middle, position)
            return distance if distance <= self.radius_m else None
        if geohash.latitude_distance_m(position[1], middle[1]) > self.height_m / 2:
            return None
        if geohash.distance_m(position, (middle[0], position[1])) > self.width_m / 2:
            return None
        return geohash.distance_m(middle, position)


def _distance(place: _Place) -> float:
    return place[2]


def _run(call: Call, search: _Search, zset: SortedSet | None, event: bytes) -> Reply:
    """Search and answer, or store what was found."""
    if search.any and not search.count:
        raise Error(b"ERR the ANY argument requires COUNT argument")
    places = [] if zset is None else search.find(zset)
    if search.target is None:
        return [_answer(search, place) for place in places] if search.with_ else [place[0] for place in places]
    if search.store_distances:
        scores = {member: distance / search.unit for member, _, distance, _ in places}
    else:
        scores = {member: score for member, score, _, _ in places}
    stored = store(call, search.target, scores, event)
    call.keyspace.dirty += max(stored - 1, 0)
    return stored


def _answer(search: _Search, place: _Place) -> Reply:
    member, score, distance, position = place
    answer: list[Reply] = [member]
    if b"WITHDIST" in search.with_:
        answer.append(distance_text(distance / search.unit))
    if b"WITHHASH" in search.with_:
        answer.append(int(score))
    if b"WITHCOORD" in search.with_:
        answer.append(coordinates(position))
    return answer


def _position_of_member(zset: SortedSet, member: bytes) -> tuple[float, float]:
    score = zset.scores.get(member)
    if score is None:
        raise Error(_NO_SUCH_MEMBER)
    return geohash.position_of(score)


@command(
    "GEOSEARCH",
    arity=-7,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="geo",
    since="6.2.0",
    complexity="O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape "
    "provided as the filter and M is the number of items inside the shape",
    summary="Query a sorted set representing a geospatial index to fetch members inside an area of a box or a circle.",
    syntax="key <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | BYBOX "
    "width height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
    history=(("7.0.0", "Added support for uppercase unit names."),),
)
def geosearch(call: Call) -> Reply:
    return _search_shape(call, 1, None)


@command(
    "GEOSEARCHSTORE",
    arity=-8,
    flags=WRITE | DENYOOM,
    keys=key(1, "OW", "update") + key(2, "RO", "access"),
    group="geo",
    since="6.2.0",
    complexity="O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape "
    "provided as the filter and M is the number of items inside the shape",
    summary="Query a sorted set representing a geospatial index to fetch members inside an area of a box or a "
    "circle, and store the result in another key.",
    syntax="destination source <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT "
    "| MI> | BYBOX width height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [STOREDIST]",
    history=(("7.0.0", "Added support for uppercase unit names."),),
)
def geosearchstore(call: Call) -> Reply:
    return _search_shape(call, 2, call.argv[1])


def _search_shape(call: Call, at: int, target: bytes | None) -> Reply:
    """GEOSEARCH and GEOSEARCHSTORE, whose searched key is argument `at`."""
    argv = call.argv
    zset = call.db.read_as(argv[at], SortedSet)
    search = _Search()
    search.target = target
    from_ = by = b""
    at += 1
    while at < len(argv):
        word = argv[at].upper()
        rest = argv[at + 1 :]
        taken = search.common_option(word, rest)
        if taken:
            pass
        elif word == b"FROMMEMBER" and rest and from_ != b"FROMLONLAT":
            if zset is not None:
                search.middle = _position_of_member(zset, rest[0])
            from_, taken = word, 2
        elif word == b"FROMLONLAT" and len(rest) > 1 and from_ != b"FROMMEMBER":
            search.middle = parse_position(*rest[:2])
            from_, taken = word, 3
        elif word == b"BYRADIUS" and len(rest) > 1 and by != b"BYBOX":
            search.circle(*rest[:2])
            by, taken = word, 3
        elif word == b"BYBOX" and len(rest) > 2 and by != b"BYRADIUS":
            search.rectangle(*rest[:3])
            by, taken = word, 4
        elif word == b"STOREDIST" and target is not None:
            search.store_distances, taken = True, 1
        else:
            raise Error(SYNTAX)
        at += taken
    search.check(b"GEOSEARCHSTORE")
    if not from_:
        raise Error(b"ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for %b" % argv[0])
    if not by:
        raise Error(b"ERR exactly one of BYRADIUS and BYBOX can be specified for %b" % argv[0])
    return _run(call, search, zset, b"geosearchstore")


@command(
    "GEORADIUS",
    arity=-6,
    flags=WRITE | DENYOOM,
    keys=key(1, "RO", "access") + _stored_keys(6),
    find_keys=radius_and_stored(5),
    group="geo",
    since="3.2.0",
    complexity="O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited "
    "by center and radius and M is the number of items inside the index.",
    summary="Query a sorted set representing a geospatial index to fetch members matching a given maximum distance "
    "from a point",
    syntax="key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count "
    "[ANY]] [ASC | DESC] [STORE key] [STOREDIST key]",
    history=(
        ("6.2.0", "Added the `ANY` option for `COUNT`."),
        ("7.0.0", "Added support for uppercase unit names."),
    ),
    deprecated=("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument"),
)
def georadius(call: Call) -> Reply:
    return _search_radius(call, 2, read_only=False)


@command(
    "GEORADIUS_RO",
    arity=-6,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="geo",
    since="3.2.10",
    complexity="O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited "
    "by center and radius and M is the number of items inside the index.",
    summary="A read-only variant for GEORADIUS",
    syntax="key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count "
    "[ANY]] [ASC | DESC]",
    history=(("6.2.0", "Added the `ANY` option for `COUNT`."),),
    deprecated=("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument"),
)
def georadius_ro(call: Call) -> Reply:
    return _search_radius(call, 2, read_only=True)


@command(
    "GEORADIUSBYMEMBER",
    arity=-5,
    flags=WRITE | DENYOOM,
    keys=key(1, "RO", "access") + _stored_keys(5),
    find_keys=radius_and_stored(5),
    group="geo",
    since="3.2.0",
    complexity="O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited "
    "by center and radius and M is the number of items inside the index.",
    summary="Query a sorted set representing a geospatial index to fetch members matching a given maximum distance "
    "from a member",
    syntax="key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | "
    "DESC] [STORE key] [STOREDIST key]",
    history=(("7.0.0", "Added support for uppercase unit names."),),
    deprecated=("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments"),
)
def georadiusbymember(call: Call) -> Reply:
    return _search_radius(call, 1, read_only=False)


@command(
    "GEORADIUSBYMEMBER_RO",
    arity=-5,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="geo",
    since="3.2.10",
    complexity="O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited "
    "by center and radius and M is the number of items inside the index.",
    summary="A read-only variant for GEORADIUSBYMEMBER",
    syntax="key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]",
    deprecated=("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments"),
)
def georadiusbymember_ro(call: Call) -> Reply:
    return _search_radius(call, 1, read_only=True)


def _search_radius(call: Call, words: int, *, read_only: bool) -> Reply:
    """GEORADIUS and GEORADIUSBYMEMBER: `words` arguments behind the key say where the middle is."""
    argv = call.argv
    zset = call.db.read_as(argv[1], SortedSet)
    search = _Search()
    at = 2 + words
    if words == 2:
        search.middle = parse_position(argv[2], argv[3])
        search.circle(*argv[at : at + 2])
    elif zset is not None:
        search.middle = _position_of_member(zset, argv[2])
        search.circle(*argv[at : at + 2])
    at += 2
    while at < len(argv):
        word = argv[at].upper()
        taken = search.common_option(word, argv[at + 1 :])
        if not taken:
            if word not in (b"STORE", b"STOREDIST") or at + 1 == len(argv) or read_only:
                raise Error(SYNTAX)
            search.target = argv[at + 1]
            search.store_distances = word == b"STOREDIST"
            taken = 2
        at += taken
    search.check(b"STORE option in GEORADIUS")
    return _run(call, search, zset, b"georadiusstore")
