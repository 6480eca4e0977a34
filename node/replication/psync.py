"""The answer to PSYNC: may this replica continue, or does it need a full copy?

Pure: the ids, the backlog and the request come in, the decision goes out with the reason that the log
gives. An id that the two share says that their data was once the same; the backlog says whether
everything since then is still at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.replication.backlog import Backlog
from node.replication.history import History


@dataclass(frozen=True, slots=True)
class Continue:
    """Send `+CONTINUE` and the stream from byte `offset` on."""

    offset: int


@dataclass(frozen=True, slots=True)
class FullResync:
    """Send a full copy; `reason` is for the log, empty when the replica asked for one itself."""

    reason: str


def decide(history: History, backlog: Backlog | None, replid: bytes, offset: int) -> Continue | FullResync:
    """What `PSYNC replid offset` is answered; `offset` is the first byte wanted."""
    asked = replid.lower()
    if asked == b"?":
        return FullResync("")
    shared = asked == history.replid or (asked == history.replid2 and offset <= history.second_offset)
    if not shared:
        shown = replid.decode("ascii", "replace")
        if asked == history.replid2:
            return FullResync(
                f"Requested offset for second ID was {offset}, but I can reply up to {history.second_offset}"
            )
        return FullResync(
            f"Replication ID mismatch (Replica asked for '{shown}', my replication IDs are "
            f"'{history.replid.decode()}' and '{history.replid2.decode()}')"
        )
    if backlog is None:
        return FullResync("no replication backlog")
    if not backlog.covers(offset):
        return FullResync(f"lack of backlog (Replica request was: {offset})")
    return Continue(offset)
