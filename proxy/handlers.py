"""Which command goes which way: everything that is not simply forwarded by its keys.

The routes that the declarations give are looked through once, and each command that needs it gets a handler. What its
flags and tips say is enough for most; names are listed only where the proxy's own nature makes the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from random import Random

from proxy import scatter
from proxy.local import Local
from proxy.login import Login
from proxy.private import Blocking
from proxy.routing import Route
from proxy.scanning import Scanning
from proxy.session import ProxySession
from proxy.subscriptions import HOME_SLOT, Subscriptions
from proxy.topology import Topology
from proxy.transactions import Transactions
from proxy.waiting import Waiting
from wire.errors import Error

Handler = Callable[[ProxySession, list[bytes], Route], None]

# Commands that would change, or stream over, a connection that many clients share; or that say to one node what is
# meant for a whole server.
_REFUSED = frozenset(
    (
        *("monitor", "sync", "psync", "replconf", "replicaof", "slaveof", "failover", "shutdown", "swapdb", "move"),
        *("migrate", "restore-asking", "acl", "module"),
    )
)
_SUBSCRIBING = ("subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ssubscribe", "sunsubscribe")
# Their channels have one home; see `proxy.subscriptions`.
_AT_HOME = ("publish", "pubsub|channels", "pubsub|numpat", "pubsub|numsub")
# What the proxy answers by itself and a node can answer as well, when it is queued in a transaction.
_LOCAL_IN_MULTI = ("ping", "echo", "time")
# Split by slot it would not be what it promises: all or nothing.
_WHOLE = ("msetnx", "msetex")


class Handlers:
    """Hands out handlers."""

    __slots__ = ("_blocking", "_local", "_named", "_random", "_topology")

    def __init__(
        self,
        local: Local,
        topology: Topology,
        transactions: Transactions,
        subscriptions: Subscriptions,
        blocking: Blocking,
        waiting: Waiting,
        scanning: Scanning,
        login: Login,
        random: Random,
    ) -> None:
        # The commands that the proxy answers itself.
        self._local = local
        self._topology = topology
        self._blocking = blocking
        # For RANDOMKEY.
        self._random = random
        self._named: dict[str, Handler] = {
            "multi": transactions.multi,
            "exec": transactions.exec,
            "discard": transactions.discard,
            "watch": transactions.watch,
            "unwatch": transactions.unwatch,
            "wait": waiting.wait,
            "scan": scanning.scan,
            "randomkey": self._random_key,
            "auth": login.auth,
            "reset": lambda session, argv, _: session.when_idle(lambda: local.answer(session, argv)),
            "hello": login.hello,
            **dict.fromkeys(_SUBSCRIBING, subscriptions.change),
            **dict.fromkeys(_REFUSED, _refuse),
        }

    def assign(self, routes: Iterable[Route]) -> None:
        """Give each route its handler, if it needs one."""
        for route in routes:
            handler = self._handler(route)
            if handler is not None:
                route.handler = handler
                route.key = 0
            if route.name in _AT_HOME:
                route.home = HOME_SLOT

    def _handler(self, route: Route) -> Handler | None:
        container, _, _ = route.name.partition("|")
        named = self._named.get(route.name) or self._named.get(container)
        if named is not None:
            return named
        if self._local.knows(container):
            route.in_multi = route.name in _LOCAL_IN_MULTI
            return self._local.answer
        if route.blocking:
            route.in_multi = True
            return self._blocking.run
        request = scatter.policy(route, "request_policy")
        merge = scatter.MERGES.get(scatter.policy(route, "response_policy"))
        if request == "multi_shard" and merge is not None and route.name not in _WHOLE:
            route.in_multi = True
            route.lone = 1 + route.spec.keys[0].step
            return scatter.by_slot
        if request in ("all_shards", "all_nodes") and merge is not None:
            return partial(self._everywhere, merge)
        return None

    def _everywhere(self, merge: scatter.Merge, session: ProxySession, argv: list[bytes], route: Route) -> None:
        scatter.everywhere(session, argv, route, self._topology.slot_map, merge)

    def _random_key(self, session: ProxySession, argv: list[bytes], route: Route) -> None:
        """One of the keys that the masters name; the empty ones name none."""

        def choose(replies: list[bytes]) -> bytes:
            keys = [reply for reply in replies if not reply.startswith((b"$-1", b"_"))]
            return self._random.choice(keys or replies)

        scatter.everywhere(session, argv, route, self._topology.slot_map, choose)


def _refuse(session: ProxySession, _argv: list[bytes], route: Route) -> None:
    session.answer(Error(b"ERR %b is not available through the proxy" % route.name.partition("|")[0].upper().encode()))
