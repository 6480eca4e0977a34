"""Which commands the cluster has: asked once of any node, for it may be newer than this program, or have modules."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.routing import specs_from_command_reply
from proxy.topology import Topology
from wire.command import CommandSpec
from wire.errors import Error
from wire.outward import Greeting, OutwardError, connect

_AGAIN_S = 1.0
_TIMEOUT_MS = 2000


async def learn_commands(topology: Topology, greeting: Greeting, learn: Callable[[list[CommandSpec]], object]) -> None:
    """Give `learn` what a master declares, as soon as one answers."""
    await topology.read_again()
    while True:
        for address in topology.slot_map.masters():
            try:
                outward = await connect(address.host, address.port, greeting)
                try:
                    reply = await outward.call(b"COMMAND", timeout_ms=_TIMEOUT_MS)
                finally:
                    outward.close()
            except OutwardError:
                continue
            except Error:
                # It may be forbidden; what this program declares itself must do then.
                return
            learn(specs_from_command_reply(reply))
            return
        await asyncio.sleep(_AGAIN_S)
