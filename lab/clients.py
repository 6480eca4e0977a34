"""The clients with which a workload asks: our smart client, redis-py's cluster client, or one connection to the proxy.

They differ in how they find the right node and how long they try. They agree in how they fail, which is all that a
history needs: `Refused` says that the command definitely was not executed, `Unanswered` that nobody knows. None of them
may send a write twice on its own, or an INCR would count twice and the checker would blame the cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from proxy.client import ClusterClient
from proxy.client_options import ClientOptions
from proxy.slot_map import Address
from wire.errors import Error
from wire.outward import Greeting, Limits, NotSentError, Outward, OutwardError, connect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio.cluster import RedisCluster

    from runtime import Runtime
    from runtime.tls import Context

# Our proxy's word for a write that it sent and never heard of again; every other error reply is a refusal.
_UNKNOWN = "UNKNOWN "


class Refused(Exception):  # noqa: N818 - an outcome, not an error of this program
    """The command definitely was not executed."""


class Unanswered(Exception):  # noqa: N818 - likewise
    """The command may have been executed, or may be yet."""


class Client(Protocol):
    """One way into the cluster. One command at a time."""

    # Its reads may be answered by replicas.
    replica: bool

    async def execute(self, *words: bytes) -> Any:
        """Execute one command and return the reply, with bytes for strings; raises Refused and Unanswered."""

    async def close(self) -> None: ...


def failure_of_reply(text: str) -> Refused | Unanswered:
    """What an error reply says about the command."""
    return Unanswered(text) if text.startswith(_UNKNOWN) else Refused(text)


class SmartClient:
    """Ours (`proxy.client`)."""

    def __init__(
        self,
        nodes: Sequence[tuple[str, int]],
        runtime: Runtime,
        *,
        deadline_ms: int = 1000,
        silence_timeout_ms: int = 500,
        connect_timeout_ms: int | None = None,
        replica: bool = False,
        tls: Context | None = None,
    ) -> None:
        """A connection may take as long as an answer, unless told otherwise."""
        self.replica = replica
        options = ClientOptions(
            greeting=Greeting(tls=tls),
            deadline_ms=deadline_ms,
            connect_timeout_ms=connect_timeout_ms or silence_timeout_ms,
            silence_timeout_ms=silence_timeout_ms,
            read_from_replicas=replica,
        )
        self._client = ClusterClient([Address(*node) for node in nodes], runtime, options)
        self._entered = False

    async def execute(self, *words: bytes) -> Any:
        if not self._entered:
            self._entered = True
            await self._client.__aenter__()
        try:
            return await self._client.execute(*words)
        except Error as error:
            raise failure_of_reply(error.text.decode(errors="replace")) from None
        except OutwardError as error:
            raise (Refused if error.happened is False else Unanswered)(str(error)) from None

    async def close(self) -> None:
        await self._client.close()


class ProxiedClient:
    """One connection to the proxy, which does the rest; opened again when it breaks."""

    replica = False

    def __init__(self, address: tuple[str, int], *, timeout_ms: int = 15_000, tls: Context | None = None) -> None:
        self._address = address
        self._greeting = Greeting(tls=tls)
        self._limits = Limits(silence_timeout_ms=timeout_ms)
        self._connection: Outward | None = None

    async def execute(self, *words: bytes) -> Any:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = await connect(*self._address, self._greeting, self._limits)
            return await self._connection.call(*words)
        except Error as error:
            raise failure_of_reply(error.text.decode(errors="replace")) from None
        except NotSentError as error:
            raise Refused(str(error)) from None
        except OutwardError as error:
            raise Unanswered(str(error)) from None

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class RedisPyClient:
    """redis-py's, which follows redirections and is told to try nothing else again."""

    replica = False

    def __init__(self, nodes: Sequence[tuple[str, int]], *, timeout_s: float = 0.5) -> None:
        self._nodes = nodes
        self._timeout_s = timeout_s
        self._client: RedisCluster | None = None

    async def execute(self, *words: bytes) -> Any:
        # redis-py is not needed to run Shardlab, only to be this client.
        from redis import exceptions
        from redis.asyncio.cluster import ClusterNode, RedisCluster
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        if self._client is None:
            self._client = RedisCluster(
                startup_nodes=[ClusterNode(*node) for node in self._nodes],
                socket_timeout=self._timeout_s,
                socket_connect_timeout=self._timeout_s,
                retry=Retry(NoBackoff(), 0),
                require_full_coverage=False,
            )
        try:
            return await self._client.execute_command(words[0].decode(), *words[1:])
        except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
            # The same types before and after sending: only the words tell.
            text = str(error)
            unsent = isinstance(error, exceptions.MaxConnectionsError) or "connecting to" in text
            raise (Refused if unsent else Unanswered)(text) from None
        except exceptions.RedisError as error:
            raise failure_of_reply(str(error)) from None

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
