"""Commands that span nodes: one request becomes several, several replies become one.

Which commands these are, and how their replies merge, the declarations say: the tips `request_policy` and
`response_policy` that Redis gives to clients of clusters (Redis documentation, "Command tips"). Replies are merged as
bytes. Parts are errands, so each follows redirections by itself.

The whole is not atomic: MSET across slots may be seen half done, and when one part fails the others may have happened.
Nor is there a single moment at which DBSIZE or KEYS is true.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cluster.slots import key_slot
from proxy.errands import Errand
from proxy.reply_splitter import ReplySplitter
from proxy.routing import Route
from proxy.session import Answer, ProxySession
from proxy.slot_map import SlotMap
from wire.errors import wrong_arity

Merge = Callable[[list[bytes]], bytes]


class Gather:
    """Collects the replies of all parts of one command."""

    __slots__ = ("_left", "_merge", "_partial_errors", "_replies", "place")

    def __init__(self, place: Answer, parts: int, merge: Merge, *, partial_errors: bool = False) -> None:
        self.place = place
        self._replies = [b""] * parts
        self._left = parts
        self._merge = merge
        # The merge looks at errors itself; otherwise the first error is the answer.
        self._partial_errors = partial_errors

    def arrived(self, index: int, reply: bytes) -> None:
        self._replies[index] = reply
        self._left -= 1
        if self._left:
            return
        failed = [reply for reply in self._replies if reply.startswith(b"-")]
        if failed and not self._partial_errors:
            self.place.finish(failed[0])
        else:
            self.place.finish(self._merge(self._replies))


class Part(Errand):
    """One part of a command."""

    __slots__ = ("_gather", "_index")

    def __init__(
        self, gather: Gather, index: int, session: ProxySession, argv: list[bytes], slot: int, *, safe: bool
    ) -> None:
        super().__init__(session, argv, slot, safe=safe, write=not safe)
        self._gather = gather
        self._index = index

    def answered(self, reply: bytes) -> None:
        self._gather.arrived(self._index, reply)


def policy(route: Route, kind: str) -> str:
    """The value of the tip `kind` ("request_policy", "response_policy"), or nothing."""
    prefix = kind + ":"
    return next((tip.removeprefix(prefix) for tip in route.spec.tips if tip.startswith(prefix)), "")


def by_slot(session: ProxySession, argv: list[bytes], route: Route) -> None:
    """MGET, MSET, DEL and their like: a part for each slot, in the order in which the slots first appear."""
    step = route.spec.keys[0].step
    if len(argv) < 2 or (len(argv) - 1) % step:
        session.answer(wrong_arity(route.name))
        return
    parts: dict[int, list[int]] = {}
    for index in range(1, len(argv), step):
        parts.setdefault(key_slot(argv[index]), []).append(index)
    response = policy(route, "response_policy")
    merge = MERGES[response] if response else _in_order(list(parts.values()), step)
    gather = Gather(session.place(), len(parts), merge)
    for number, (slot, indexes) in enumerate(parts.items()):
        own = [argv[0]]
        for index in indexes:
            own += argv[index : index + step]
        session.errands.dispatch(Part(gather, number, session, own, slot, safe=route.readonly))


def everywhere(session: ProxySession, argv: list[bytes], route: Route, slot_map: SlotMap, merge: Merge) -> None:
    """DBSIZE, FLUSHALL and their like: a part for each master. A part belongs to a slot, so that a replica that takes
    over meanwhile is asked in its master's place."""
    slots = list(slot_map.masters().values()) or [0]
    partial = merge is one_succeeded
    gather = Gather(session.place(), len(slots), merge, partial_errors=partial)
    for number, slot in enumerate(slots):
        session.errands.dispatch(Part(gather, number, session, argv, slot, safe=route.readonly))


def concatenated(replies: list[bytes]) -> bytes:
    """One array of all elements."""
    total = 0
    bodies = []
    for reply in replies:
        header, _, body = reply.partition(b"\r\n")
        # A set in RESP3 is merged as an array, too.
        total += int(header[1:])
        bodies.append(body)
    return b"*%d\r\n%b" % (total, b"".join(bodies))


def one_succeeded(replies: list[bytes]) -> bytes:
    """The first that is not an error, or else the first."""
    return next((reply for reply in replies if not reply.startswith(b"-")), replies[0])


def _integers(combine: Callable[[Sequence[int]], int]) -> Merge:
    return lambda replies: b":%d\r\n" % combine([int(reply[1:-2]) for reply in replies])


def _elementwise(combine: Callable[[Sequence[int]], int]) -> Merge:
    """Arrays of integers, or single ones, combined position by position."""

    def merge(replies: list[bytes]) -> bytes:
        if not replies[0].startswith(b"*"):
            return _integers(combine)(replies)
        rows = [[int(element[1:-2]) for element in elements(reply)] for reply in replies]
        combined = [combine(column) for column in zip(*rows, strict=True)]
        return b"*%d\r\n%b" % (len(combined), b"".join([b":%d\r\n" % value for value in combined]))

    return merge


def elements(reply: bytes) -> list[bytes]:
    """The elements of an array, encoded as they are."""
    header, _, body = reply.partition(b"\r\n")
    if header == b"*1":
        return [body]
    ends = ReplySplitter().feed(body)
    return [body[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _in_order(parts: list[list[int]], step: int) -> Merge:
    """Arrays whose elements go back to the places of their keys."""

    def merge(replies: list[bytes]) -> bytes:
        merged: dict[int, bytes] = {}
        for indexes, reply in zip(parts, replies, strict=True):
            merged.update(zip(indexes, elements(reply), strict=True))
        ordered = [merged[index] for index in range(1, 1 + len(merged) * step, step)]
        return b"*%d\r\n%b" % (len(ordered), b"".join(ordered))

    return merge


# By `response_policy`; without one, an array of everything.
MERGES: dict[str, Merge] = {
    "": concatenated,
    "agg_sum": _integers(sum),
    "agg_min": _integers(min),
    "agg_max": _integers(max),
    "agg_logical_and": _elementwise(min),
    "agg_logical_or": _elementwise(max),
    "all_succeeded": lambda replies: replies[0],
    "one_succeeded": one_succeeded,
}
