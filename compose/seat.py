"""What a container runs: ``python -m compose.seat node-3`` takes the seat of that name in the lab.

On its first start it writes the seat's configuration into the volume, the same files that `shardlab up` writes
(`lab.configs`), so that the cluster stands as soon as its processes do. Later starts find them as the process
left them. Then this process becomes the server.

The addresses are those of docker-compose.yml: ``<network>.10`` and up for nodes, ``.20`` for sentinels, ``.30``
for the proxy. A client inside the network is told a container's name; any other one comes through a published
port and is told localhost and that port (`cluster-announce-client-network`).
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from lab import configs
from lab.authority import Certificates
from lab.engines import NODE_CONF, SENTINEL_CONF
from lab.topology import Role, Seat, Topology

DATA = Path("/data")
# Where compose/tls.yml puts what compose/certificates.py makes.
TLS = Path("/tls")
NODE_PORT = 6379
SENTINEL_PORT = 26379
# The last byte of the first address of each kind.
_FIRST_ADDRESS = {Role.NODE: 10, Role.SENTINEL: 20, Role.PROXY: 30}
# Where each kind's published ports start, behind the prefix: 7 and 100 make 7100.
_FIRST_PUBLISHED = {Role.NODE: 0, Role.SENTINEL: 100, Role.PROXY: 200}


class SeatError(Exception):
    """The container was told a name or an environment that no seat fits."""


def container_seats(topology: Topology, network: str) -> list[Seat]:
    """All seats of the lab at their addresses inside the compose network."""
    kinds = [(Role.NODE, topology.nodes), (Role.SENTINEL, topology.sentinels), (Role.PROXY, 1)]
    places = []
    for role, count in kinds:
        for number in range(count):
            port = SENTINEL_PORT if role is Role.SENTINEL else NODE_PORT
            places.append(
                Seat(
                    name=role.value if role is Role.PROXY else f"{role.value}-{number}",
                    role=role,
                    host=f"{network}.{_FIRST_ADDRESS[role] + number}",
                    port=port,
                    bus_port=port + 10_000 if role is Role.NODE else None,
                )
            )
    return places


def published_port(place: Seat, prefix: str) -> int:
    """The port on the host that leads to `place` (docker-compose.yml)."""
    number = 0 if place.role is Role.PROXY else int(place.name.rpartition("-")[2])
    return int(f"{prefix}{_FIRST_PUBLISHED[place.role] + number:03d}")


def write_configuration(topology: Topology, places: list[Seat], place: Seat, network: str, prefix: str) -> None:
    """Write what `place` needs for its first start into the volume; leave what is there already."""
    # Every container writes its own files, so the ids must come out the same everywhere: they are made of the names.
    ids = {seat.name: hashlib.sha1(f"{network}/{seat.name}".encode()).hexdigest() for seat in places}
    if place.role is Role.NODE:
        _write_once(DATA / "nodes.conf", configs.nodes_conf(topology, places, ids, places.index(place)))
        _write_once(DATA / NODE_CONF, configs.node_conf(topology, place) + _announcements(place, network, prefix))
    elif place.role is Role.SENTINEL:
        # The container may be given its address again after the network was taken away: listen on all of them.
        text = configs.sentinel_conf(topology, places, ids, place)
        _write_once(DATA / SENTINEL_CONF, text.replace(f"bind {place.host}\n", "bind *\n"))


def _announcements(place: Seat, network: str, prefix: str) -> str:
    published = published_port(place, prefix)
    return "\n".join(
        [
            "bind *",
            f"cluster-announce-ip {place.host}",
            f"cluster-announce-hostname {place.name}",
            "cluster-preferred-endpoint-type hostname",
            # From another container, or this one; from the host, whose published port shows the network's gateway as
            # the source; from any other machine.
            f"cluster-announce-client-network {network}.0/24 {place.name} {place.port}",
            f"cluster-announce-client-network 127.0.0.0/8 {place.name} {place.port}",
            f"cluster-announce-client-network {network}.1/32 localhost {published}",
            f"cluster-announce-client-network 0.0.0.0/0 localhost {published}",
            "",
        ]
    )


def _write_once(path: Path, text: str) -> None:
    if not path.exists():
        path.write_text(text, encoding="utf-8")


def server_command(places: list[Seat], place: Seat, certs: Certificates | None) -> list[str]:
    """The `shardlab` command line of the seat."""
    if place.role is Role.NODE:
        return ["server", str(DATA / NODE_CONF), *_ports(place, certs)]
    if place.role is Role.SENTINEL:
        return ["server", str(DATA / SENTINEL_CONF), "--sentinel", *_ports(place, certs)]
    nodes = ",".join(f"{seat.host}:{seat.port}" for seat in places if seat.role is Role.NODE)
    return ["proxy", "--nodes", nodes, "--bind", "0.0.0.0", *_ports(place, certs)]


def _ports(place: Seat, certs: Certificates | None) -> list[str]:
    """Where the seat listens. It stands on the command line, which goes before the files: so the same volumes serve
    with TLS one day and without it the next."""
    if certs is None:
        return ["--port", str(place.port)]
    words = ["--port", "0", "--tls-port", str(place.port)]
    if place.role is not Role.PROXY:
        words += ["--tls-replication", "yes"]
    if place.role is not Role.SENTINEL:
        words += ["--tls-cluster", "yes"]
    return [*words, *(word for line in certs.directives() for word in f"--{line}".split(" ", 1))]


def main(argv: list[str]) -> int:  # noqa: RET503 - execvp does not return
    """Become the seat named on the command line; returns only when that is impossible."""
    try:
        network = os.environ.get("SHARDLAB_NETWORK", "10.77.7")
        prefix = os.environ.get("SHARDLAB_PORT_PREFIX", "7")
        topology = Topology(down_after_ms=int(os.environ.get("SHARDLAB_DOWN_AFTER_MS", "500")))
        places = container_seats(topology, network)
        names = [place.name for place in places]
        if len(argv) != 1 or argv[0] not in names:
            raise SeatError(f"name one seat of {', '.join(names)}")
        place = places[names.index(argv[0])]
        write_configuration(topology, places, place, network, prefix)
    except (SeatError, ValueError, OSError) as error:
        print(f"compose.seat: {error}", file=sys.stderr)
        return 2
    certs = Certificates(TLS) if os.environ.get("SHARDLAB_TLS") == "yes" else None
    os.execvp("shardlab", ["shardlab", *server_command(places, place, certs)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
