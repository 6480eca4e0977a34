"""The throw-away certificates of a lab."""

from __future__ import annotations

import ssl
import subprocess

from lab.authority import Certificates


def test_strict_clients_believe_in_them(authority: Certificates) -> None:
    """Python's do since 3.13, so redis-py does."""
    subprocess.run(
        ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", authority.ca_cert, authority.cert],
        check=True,
    )
    client = authority.context()
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(authority.cert, authority.key)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(3):
        shaken = [_shake(end) for end in ends]
    assert shaken == [True, True]


def _shake(end: ssl.SSLObject) -> bool:
    """Go on with the handshake; whether that is done."""
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
