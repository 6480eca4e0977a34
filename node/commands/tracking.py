"""CLIENT TRACKING and its kin: client-side caching. What is remembered and told is `node.tracking`'s business."""

from __future__ import annotations

from itertools import pairwise

from node.call import Call
from node.session import Tracked
from wire.arguments import parse_integer
from wire.command import LOADING, NOSCRIPT, STALE, command
from wire.commands.client import switch
from wire.errors import SYNTAX, Error, until_nul
from wire.reply import OK, Reply, ReplySet

_FLAGS = NOSCRIPT | LOADING | STALE
_NOT_TRACKING = (
    b"ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"
)
_OTHER_BROADCAST = (
    b"ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a "
    b"different mode."
)
_OTHER_OPT = (
    b"ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a "
    b"different mode."
)


@command(
    "CLIENT|TRACKING",
    arity=-3,
    flags=_FLAGS,
    group="connection",
    since="6.0.0",
    complexity="O(1). Some options may introduce additional complexity.",
    summary="Controls server-assisted client-side caching for the connection.",
    syntax="<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
)
def client_tracking(call: Call) -> Reply:
    wanted, prefixes = _parsed(call)
    session, tracking = call.session, call.node.tracking
    if not switch(call.argv[2]):
        tracking.stop(session)
        return OK
    _check(session.tracked, wanted, prefixes)
    if wanted.broadcast and session.tracked is not None:
        wanted.prefixes = session.tracked.prefixes | wanted.prefixes
    tracking.start(session, wanted)
    return OK


def _parsed(call: Call) -> tuple[Tracked, list[bytes]]:
    """What the options ask for, and the prefixes as they were given; raises Error."""
    wanted = Tracked()
    prefixes = []
    words = iter(call.argv[3:])
    for word in words:
        option = word.lower()
        if option == b"redirect":
            text = next(words, None)
            if text is None:
                raise Error(SYNTAX)
            if wanted.redirect:
                raise Error(b"ERR A client can only redirect to a single other client")
            wanted.redirect = parse_integer(text)
            # A client that goes away later is noticed when there is something to tell it.
            if wanted.redirect not in call.node.clients.by_id:
                raise Error(b"ERR The client ID you want redirect to does not exist")
        elif option == b"bcast":
            wanted.broadcast = True
        elif option == b"optin":
            wanted.opt_in = True
        elif option == b"optout":
            wanted.opt_out = True
        elif option == b"noloop":
            wanted.no_loop = True
        elif option == b"prefix":
            prefix = next(words, None)
            if prefix is None:
                raise Error(SYNTAX)
            wanted.prefixes[prefix] = None
            prefixes.append(prefix)
        else:
            raise Error(SYNTAX)
    return wanted, prefixes


def _check(current: Tracked | None, wanted: Tracked, prefixes: list[bytes]) -> None:
    """Whether these options go together, and with those in force; raises Error."""
    if wanted.prefixes and not wanted.broadcast:
        raise Error(b"ERR PREFIX option requires BCAST mode to be enabled")
    if current is not None and current.broadcast is not wanted.broadcast:
        raise Error(_OTHER_BROADCAST)
    if wanted.broadcast and (wanted.opt_in or wanted.opt_out):
        raise Error(b"ERR OPTIN and OPTOUT are not compatible with BCAST")
    if wanted.opt_in and wanted.opt_out:
        raise Error(b"ERR You can't specify both OPTIN mode and OPTOUT mode")
    if current is not None and ((wanted.opt_in and current.opt_out) or (wanted.opt_out and current.opt_in)):
        raise Error(_OTHER_OPT)
    if not wanted.broadcast:
        return
    known = sorted(current.prefixes) if current is not None else []
    if _overlap(sorted([*known, *prefixes])):
        _refuse_overlap(known, prefixes)
    if not wanted.prefixes:
        # Every key begins with nothing; this one is not held against those that are there.
        wanted.prefixes[b""] = None


def _overlap(prefixes: list[bytes]) -> bool:
    """Whether one of them, which are sorted, is the beginning of another: then it is of the next one."""
    return any(longer.startswith(prefix) for prefix, longer in pairwise(prefixes))


def _refuse_overlap(known: list[bytes], prefixes: list[bytes]) -> None:
    """Name the pair that Redis comes upon first; raises Error."""
    for at, prefix in enumerate(prefixes):
        for other in known:
            if prefix.startswith(other) or other.startswith(prefix):
                raise Error(
                    b"ERR Prefix '%b' overlaps with an existing prefix '%b'. Prefixes for a single client must not "
                    b"overlap." % (until_nul(prefix), until_nul(other))
                )
        for other in prefixes[at + 1 :]:
            if prefix.startswith(other) or other.startswith(prefix):
                raise Error(
                    b"ERR Prefix '%b' overlaps with another provided prefix '%b'. Prefixes for a single client must "
                    b"not overlap." % (until_nul(prefix), until_nul(other))
                )


@command(
    "CLIENT|CACHING",
    arity=3,
    flags=_FLAGS,
    group="connection",
    since="6.0.0",
    complexity="O(1)",
    summary="Instructs the server whether to track the keys in the next request.",
    syntax="<YES | NO>",
)
def client_caching(call: Call) -> Reply:
    tracked = call.session.tracked
    if tracked is None:
        raise Error(_NOT_TRACKING)
    word = call.argv[2].lower()
    if word == b"yes":
        if not tracked.opt_in:
            raise Error(b"ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
    elif word == b"no":
        if not tracked.opt_out:
            raise Error(b"ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
    else:
        raise Error(SYNTAX)
    tracked.caching = word == b"yes"
    return OK


@command(
    "CLIENT|GETREDIR",
    arity=2,
    flags=_FLAGS,
    group="connection",
    since="6.0.0",
    complexity="O(1)",
    summary="Returns the client ID to which the connection's tracking notifications are redirected.",
)
def client_getredir(call: Call) -> Reply:
    tracked = call.session.tracked
    return -1 if tracked is None else tracked.redirect


@command(
    "CLIENT|TRACKINGINFO",
    arity=2,
    flags=_FLAGS,
    group="connection",
    since="6.2.0",
    complexity="O(1)",
    summary="Returns information about server-assisted client-side caching for the connection.",
)
def client_trackinginfo(call: Call) -> Reply:
    tracked = call.session.tracked
    if tracked is None:
        return {b"flags": ReplySet([b"off"]), b"redirect": -1, b"prefixes": []}
    flags = [b"on"]
    flags += [b"bcast"] if tracked.broadcast else []
    if tracked.opt_in:
        flags += [b"optin", b"caching-yes"] if tracked.caching else [b"optin"]
    if tracked.opt_out:
        flags += [b"optout", b"caching-no"] if tracked.caching is False else [b"optout"]
    flags += [b"noloop"] if tracked.no_loop else []
    flags += [b"broken_redirect"] if tracked.broken else []
    return {
        b"flags": ReplySet(flags),
        b"redirect": tracked.redirect,
        b"prefixes": sorted(tracked.prefixes),
    }
