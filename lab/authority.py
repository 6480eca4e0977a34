"""A throw-away certificate authority for a lab that speaks TLS, made by the program `openssl`.

The authority signs one certificate, which every process of the lab shows to clients and to the others. Whoever has the
folder can pretend to be any of them: good for experiments on one machine, and for nothing else.
"""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

_DAYS = "365"
# Made in milliseconds, and understood by every Redis with TLS.
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
# RFC 5280, which Python's clients are strict about from 3.13 on: what a key is for, and which key has signed.
_AUTHORITY = ("-addext", "keyUsage = critical, keyCertSign, cRLSign")
_EXTENSIONS = """\
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""
_NEEDED = "TLS needs the program openssl (Debian: apt-get install openssl)"


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the files are."""

    folder: Path

    @property
    def ca_cert(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def cert(self) -> Path:
        return self.folder / "lab.crt"

    @property
    def key(self) -> Path:
        return self.folder / "lab.key"

    def context(self) -> ssl.SSLContext:
        """For a client of the lab, which believes in nobody else and shows the lab's certificate."""
        made = ssl.create_default_context(cafile=self.ca_cert)
        made.load_cert_chain(self.cert, self.key)
        return made

    def directives(self) -> list[str]:
        """Lines for redis.conf and sentinel.conf."""
        return [
            f"tls-cert-file {self.cert}",
            f"tls-key-file {self.key}",
            f"tls-ca-cert-file {self.ca_cert}",
        ]


def certificates(folder: Path, hosts: list[str]) -> Certificates:
    """The certificates in `folder`, made if they are not there; good for these addresses. Raises LabError."""
    made = Certificates(folder.absolute())
    if made.key.exists() and made.cert.exists() and made.ca_cert.exists():
        return made
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, request, extensions = folder / "ca.key", folder / "lab.csr", folder / "lab.ext"
    _openssl(
        *("req", "-x509", *_KEY, *_AUTHORITY, "-days", _DAYS, "-subj", "/O=Shardlab/CN=Throw-away authority"),
        *("-keyout", ca_key, "-out", made.ca_cert),
    )
    _openssl("req", *_KEY, "-subj", "/O=Shardlab/CN=lab", "-keyout", made.key, "-out", request)
    names = ",".join(["DNS:localhost", *(f"{'IP' if _is_ip(host) else 'DNS'}:{host}" for host in hosts)])
    extensions.write_text(_EXTENSIONS.format(names=names), encoding="utf-8")
    _openssl(
        *("x509", "-req", "-in", request, "-CA", made.ca_cert, "-CAkey", ca_key, "-CAcreateserial"),
        *("-days", _DAYS, "-extfile", extensions, "-out", made.cert),
    )
    return made


def _openssl(*words: str | Path) -> None:
    try:
        done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LabError(_NEEDED) from None
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise LabError(f"openssl {words[0]} failed: {last}")


def _is_ip(host: str) -> bool:
    return host.replace(".", "").isdigit() or ":" in host
