"""`protected-mode`: a server that anybody could use is used from its own machine only."""

from __future__ import annotations

from node.settings import NodeSettings
from wire.acl.accounts import Accounts
from wire.session import is_loopback

_DENIED = (
    b"DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the "
    b"default user. In this mode connections are only accepted from the loopback interface. If you want to connect "
    b"from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode "
    b"sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the "
    b"same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. "
    b"Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by "
    b"editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the "
    b"server. 3) If you started the server manually just for testing, restart it with the '--protected-mode no' "
    b"option. 4) Setup a an authentication password for the default user. NOTE: You only need to do one of the above "
    b"things in order for the server to start accepting connections from the outside."
)


class ProtectedMode:
    """Who is turned away; asks at every connection, so CONFIG SET and ACL SETUSER take effect at once."""

    __slots__ = ("_accounts", "_settings")

    def __init__(self, settings: NodeSettings, accounts: Accounts) -> None:
        self._settings = settings
        self._accounts = accounts

    def denial(self, ip: str) -> bytes | None:
        """The words for a client from `ip`, or None when it may come in."""
        if not self._settings.protected_mode or self._accounts.has_password or is_loopback(ip):
            return None
        return _DENIED
