"""Where an instance is: the IP it is reached at, and the name it may have been given by.

Everything known is kept by IP address, because the DNS name of a stopped container no longer
resolves, and that is just when a failover must work. A name is resolved at the start and again
while its owner cannot be reached; whatever it resolved to last stays.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Address:
    """One endpoint; two of them are the same place when `ip` and `port` agree."""

    # The name it was configured or reported by; the IP itself where it never had one.
    host: str
    # Where to connect; empty until `host` has been resolved for the first time.
    ip: str
    port: int

    @classmethod
    def of(cls, host: str, port: int) -> Address:
        """An address from text: an IP is its own resolution, a name waits for one."""
        return cls(host, host if is_ip(host) else "", port)

    @property
    def has_name(self) -> bool:
        return self.host != self.ip

    @property
    def place(self) -> tuple[str, int]:
        """What makes two addresses the same: the IP and port, or the name while there is no IP."""
        return (self.ip or self.host, self.port)

    def at(self, ip: str) -> Address:
        """This address after its name resolved to `ip`."""
        return replace(self, ip=ip)

    def shown(self, announce_hostnames: bool) -> str:
        """The host as clients, other sentinels and the configuration file are told it."""
        return self.host if announce_hostnames or not self.ip else self.ip


def is_ip(text: str) -> bool:
    """Whether `text` is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
