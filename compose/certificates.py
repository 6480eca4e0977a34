"""The certificates of a lab in containers: ``python -m compose.certificates`` makes in /tls what is not there.

compose/tls.yml runs it once, before anything else starts, with a folder of the host for /tls: so a client on the
host finds the authority and a certificate there. The one certificate is good for localhost, and inside the network
for every container's name and address. Every user may read the key, because the servers run as another one than made
it: like all of `lab.authority` it is for experiments, and for nothing else.
"""

from __future__ import annotations

import os
import sys

from compose.seat import TLS, container_seats
from lab.authority import certificates
from lab.errors import LabError
from lab.topology import Topology


def main() -> int:
    """Make what is missing; returns the exit status."""
    places = container_seats(Topology(), os.environ.get("SHARDLAB_NETWORK", "10.77.7"))
    hosts = ["127.0.0.1", *(host for place in places for host in (place.name, place.host))]
    try:
        certs = certificates(TLS, hosts)
        certs.folder.chmod(0o755)
        for path in (certs.ca_cert, certs.cert, certs.key):
            path.chmod(0o644)
    except (LabError, OSError) as error:
        print(f"compose.certificates: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
