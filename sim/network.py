"""The network as a process' event loop sees it: names, listening, connecting, binding datagram sockets.

Each call belongs to the process that made it. What is not simulated (TLS, Unix sockets, sockets made elsewhere) is
refused by name.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sim.datagram import SimDatagrams
from sim.errors import EscapeError
from sim.fabric import Fabric
from sim.handshake import Dialling
from sim.process import Process
from sim.tcp import Address, End
from sim.trace import Trace
from sim.transport import Port, SimServer, SimTransport

if TYPE_CHECKING:
    from sim.host import Host
    from sim.loop import SimLoop

_LOOPBACK = "127.0.0.1"
_WILDCARD = "0.0.0.0"
_LOCAL_NAMES = ("localhost", _LOOPBACK)
# How long a name server takes.
_RESOLVE_S = 1e-3
# What these options mean is what happens anyway, or nothing.
_HARMLESS = frozenset(
    ("backlog", "reuse_address", "reuse_port", "start_serving", "family", "proto", "flags", "happy_eyeballs_delay")
    + ("interleave", "allow_broadcast", "all_errors", "server_hostname", "local_addr")
)


class Network:
    """Hosts by address, and what they do with each other."""

    __slots__ = ("_hosts", "_names", "fabric", "loop", "trace")

    def __init__(self, loop: SimLoop, trace: Trace, fabric: Fabric) -> None:
        self.loop = loop
        self.trace = trace
        self.fabric = fabric
        # By IP address, and by name.
        self._hosts: dict[str, Host] = {}
        self._names: dict[str, str] = {}

    def add(self, host: Host) -> None:
        assert host.ip not in self._hosts, host.ip
        self._hosts[host.ip] = host
        self._names[host.name] = host.ip

    def host_at(self, ip: str, asking: Host) -> Host | None:
        """Which host an address means to `asking`; None where there is none."""
        return asking if ip.startswith("127.") else self._hosts.get(ip)

    # ---- what the loop passes on

    async def resolve(self, process: Process, name: Any, port: Any) -> list[tuple[Any, ...]]:
        """Like `getaddrinfo`, for IPv4; raises socket.gaierror."""
        text = name.decode() if isinstance(name, bytes) else name
        ip = self._address(text)
        if ip is None:
            await self.loop.elapse(_RESOLVE_S)
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if ip != text:
            await self.loop.elapse(_RESOLVE_S)
        assert process.alive
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (ip, int(port or 0)))]

    def _address(self, name: str) -> str | None:
        if name in _LOCAL_NAMES:
            return _LOOPBACK
        parts = name.split(".")
        if len(parts) == 4 and all(part.isdigit() and int(part) < 256 for part in parts):
            return name
        return self._names.get(name)

    async def listen(self, process: Process, factory: Any, host: Any, port: Any, **options: Any) -> SimServer:
        _check(process, options)
        names: Sequence[str | None] = [host] if host is None or isinstance(host, str) else list(host)
        ports: list[Port] = []

        def accept(end: End) -> None:
            SimTransport(self.loop, process, end, factory()).begin()

        number = int(port) or process.host.free_port()
        try:
            for name in names:
                address = (self._own_address(process.host, name or _WILDCARD), number)
                if process.host.taken(address, process.host.ports):
                    raise _os_error(errno.EADDRINUSE)
                opened = Port(self.loop, process, address, options.get("backlog", 100), accept)
                process.host.ports[address] = opened
                ports.append(opened)
        except OSError as error:
            for opened in ports:
                opened.reclaim()
            # asyncio's words, and uvloop's.
            why = os.strerror(error.errno or 0).lower()
            what = f"error while attempting to bind on address {(name or _WILDCARD, number)}: {why}"
            raise OSError(error.errno, what) from None
        return SimServer(self.loop, process, ports)

    async def connect(
        self, process: Process, factory: Any, host: Any, port: Any, **options: Any
    ) -> tuple[SimTransport, asyncio.BaseProtocol]:
        _check(process, options)
        found = await self.resolve(process, host, port)
        remote: Address = found[0][4]
        local_ip = _LOOPBACK if remote[0].startswith("127.") else process.host.ip
        end = End(self, process.host, (local_ip, process.host.free_port()), remote, process)
        outcome: asyncio.Future[int] = self.loop.create_future()

        def decided(error: int) -> None:
            if not outcome.done():
                outcome.set_result(error)

        dialling = Dialling(self, end, decided)
        try:
            dialling.begin()
            error = await outcome
        except BaseException:
            dialling.abandoned = True
            end.close()
            raise
        if error:
            end.close()
            raise _os_error(error)
        protocol = factory()
        transport = SimTransport(self.loop, process, end, protocol)
        transport.begin()
        return transport, protocol

    async def bind(
        self, process: Process, factory: Any, local: Any, remote: Any, **options: Any
    ) -> tuple[SimDatagrams, asyncio.DatagramProtocol]:
        _check(process, options)
        host = process.host
        to: Address | None = None
        if remote is not None:
            to = (await self.resolve(process, *remote[:2]))[0][4]
        name, port = local[:2] if local is not None else (_WILDCARD if to is None else host.ip, 0)
        address = (self._own_address(host, name or _WILDCARD), int(port) or host.free_port())
        if host.taken(address, host.datagram_sockets):
            raise _os_error(errno.EADDRINUSE)
        protocol = factory()
        opened = host.datagram_sockets[address] = SimDatagrams(self, process, address, to, protocol)
        opened.begin()
        return opened, protocol

    def _own_address(self, host: Host, name: str) -> str:
        """The address of this host that a name means; raises OSError when it is not one of its own."""
        ip = _WILDCARD if name in (_WILDCARD, "") else self._address(name)
        if ip not in (_WILDCARD, _LOOPBACK, host.ip):
            raise _os_error(errno.EADDRNOTAVAIL)
        return ip


def _check(process: Process, options: dict[str, Any]) -> None:
    if not process.alive:
        # Cleanup code of a dead process.
        raise _os_error(errno.EBADF)
    for name, value in options.items():
        if value is not None and value is not False and name not in _HARMLESS:
            raise EscapeError(f"{process} wants {name}={value!r}, which is not simulated")


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
