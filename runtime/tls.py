"""TLS: from what an operator configures to the contexts with which sockets are opened.

A process has two: one for those who come to it, one for those it goes to. They can change while it runs (CONFIG SET);
connections that are open keep what they were opened with. What Redis configures by OpenSSL is configured here by
Python's `ssl`, whose limits are told where they show.
"""

from __future__ import annotations

import ctypes
import ssl
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

Context = ssl.SSLContext

_VERSIONS = {
    "tlsv1": (ssl.TLSVersion.TLSv1, ssl.OP_NO_TLSv1),
    "tlsv1.1": (ssl.TLSVersion.TLSv1_1, ssl.OP_NO_TLSv1_1),
    "tlsv1.2": (ssl.TLSVersion.TLSv1_2, ssl.OP_NO_TLSv1_2),
    "tlsv1.3": (ssl.TLSVersion.TLSv1_3, ssl.OP_NO_TLSv1_3),
}
_USUAL_VERSIONS = "TLSv1.2 TLSv1.3"
_VERIFY = {"no": ssl.CERT_NONE, "yes": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL}


class TlsError(Exception):
    """What is wrong with the configuration, as a line of the log."""


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """The directives, without their ``tls-``."""

    cert_file: str = ""
    key_file: str = ""
    key_file_pass: str = ""
    # For connections that this process opens; without both of them it shows what it shows its clients.
    client_cert_file: str = ""
    client_key_file: str = ""
    client_key_file_pass: str = ""
    dh_params_file: str = ""
    ca_cert_file: str = ""
    ca_cert_dir: str = ""
    # Whether clients must show a certificate: yes, optional or no.
    auth_clients: str = "yes"
    # This process opens connections with TLS, so it must know whom to believe.
    cluster: bool = False
    replication: bool = False
    protocols: str = ""
    ciphers: str = ""
    ciphersuites: str = ""
    prefer_server_ciphers: bool = False
    session_caching: bool = True

    @classmethod
    def of(cls, settings: object) -> TlsOptions:
        """From settings that name them ``tls_…``."""
        return cls(**{field.name: getattr(settings, f"tls_{field.name}") for field in fields(cls)})


_USUAL = TlsOptions()
# The field that each directive is about.
TLS_DIRECTIVES = {f"tls-{field.name.replace('_', '-')}": field.name for field in fields(TlsOptions)}


def parse_directive(name: str, word: str) -> str | bool:
    """The value of the field that directive `name` is about; raises ValueError, in Redis' words."""
    if isinstance(getattr(_USUAL, TLS_DIRECTIVES[name]), bool):
        if word.lower() not in ("yes", "no"):
            raise ValueError("argument must be 'yes' or 'no'")
        return word.lower() == "yes"
    if name == "tls-auth-clients":
        if word.lower() not in _VERIFY:
            raise ValueError(f"argument(s) must be one of the following: {', '.join(_VERIFY)}")
        return word.lower()
    return word


def make_contexts(options: TlsOptions) -> tuple[Context, Context]:
    """For those who come, and for those we go to; raises TlsError."""
    if not options.cert_file:
        raise TlsError("No tls-cert-file configured!")
    if not options.key_file:
        raise TlsError("No tls-key-file configured!")
    must_verify = options.auth_clients != "no" or options.cluster or options.replication
    if must_verify and not (options.ca_cert_file or options.ca_cert_dir):
        raise TlsError(
            "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or "
            "tls-auth-clients are enabled!"
        )
    server = _context(ssl.PROTOCOL_TLS_SERVER, options)
    _load_certificate(server, options.cert_file, options.key_file, options.key_file_pass)
    server.verify_mode = _VERIFY[options.auth_clients]
    if options.prefer_server_ciphers:
        server.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    if not options.session_caching:
        server.options |= ssl.OP_NO_TICKET
    if options.dh_params_file:
        try:
            server.load_dh_params(options.dh_params_file)
        except OSError as error:
            raise TlsError(f"Failed to load DH params file: {options.dh_params_file}: {_reason(error)}") from None
    client = _context(ssl.PROTOCOL_TLS_CLIENT, options)
    # Nodes are known by addresses, which certificates seldom name: whom the authority has signed is believed, as in
    # Redis.
    client.check_hostname = False
    client.verify_mode = ssl.CERT_REQUIRED
    if options.client_cert_file and options.client_key_file:
        _load_certificate(client, options.client_cert_file, options.client_key_file, options.client_key_file_pass)
    else:
        _load_certificate(client, options.cert_file, options.key_file, options.key_file_pass)
    return server, client


def _context(protocol: int, options: TlsOptions) -> Context:
    """What both have in common."""
    context = Context(protocol)
    _choose_versions(context, options.protocols)
    if options.ca_cert_file or options.ca_cert_dir:
        try:
            context.load_verify_locations(options.ca_cert_file or None, options.ca_cert_dir or None)
        except OSError as error:
            raise TlsError(f"Failed to configure CA certificate(s) file/directory: {_reason(error)}") from None
    if options.ciphers:
        try:
            context.set_ciphers(options.ciphers)
        except ssl.SSLError as error:
            raise TlsError(f"Failed to configure ciphers: {_reason(error)}") from None
    if options.ciphersuites:
        _choose_suites(context, options.ciphersuites)
    return context


def _choose_versions(context: Context, protocols: str) -> None:
    wanted = (protocols or _USUAL_VERSIONS).lower().split()
    if not wanted or any(word not in _VERSIONS for word in wanted):
        raise TlsError(
            "Invalid tls-protocols specified. Use a combination of 'TLSv1', 'TLSv1.1', 'TLSv1.2' and 'TLSv1.3'."
        )
    versions = [_VERSIONS[word][0] for word in wanted]
    with warnings.catch_warnings():
        # Python warns of versions that are out of use; whoever names them has been warned.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = min(versions)
        context.maximum_version = max(versions)
        for word, (_, switched_off) in _VERSIONS.items():
            if word not in wanted:
                context.options |= switched_off


def _load_certificate(context: Context, cert_file: str, key_file: str, password: str) -> None:
    for what, path in (("certificate", cert_file), ("private key", key_file)):
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            raise TlsError(f"Failed to load {what}: {path}: {_reason(error)}") from None
    try:
        # A password, even an empty one: without one the terminal would be asked.
        context.load_cert_chain(cert_file, key_file, password)
    except OSError as error:
        # OpenSSL says which of the two it was only in its own terms.
        of_key = "KEY" in (getattr(error, "reason", None) or "") or "private" in str(error).lower()
        what, path = ("private key", key_file) if of_key else ("certificate or private key", f"{cert_file}, {key_file}")
        raise TlsError(f"Failed to load {what}: {path}: {_reason(error)}") from None


def _choose_suites(context: Context, suites: str) -> None:
    """The suites of TLS 1.3, which `ssl` does not let us choose before Python 3.15: by OpenSSL's own function.

    A context's OpenSSL counterpart is the first field of the object (CPython, `PySSLContext`); whether the choice has
    been made is checked afterwards, so that nobody is left with weaker suites than he asked for.
    """
    set_suites: Any = getattr(context, "set_ciphersuites", None)
    if set_suites is None:
        set_suites = _suites_setter(context)
    try:
        chosen = set_suites(suites)
    except ssl.SSLError as error:
        raise TlsError(f"Failed to configure ciphersuites: {_reason(error)}") from None
    offered = {str(cipher["name"]) for cipher in context.get_ciphers() if str(cipher["name"]).startswith("TLS_")}
    if chosen == 0 or offered != set(suites.split(":")):
        raise TlsError("Failed to configure ciphersuites: no cipher match")


def _suites_setter(context: Context) -> Callable[[str], int]:
    import _ssl

    try:
        openssl = ctypes.CDLL(_ssl.__file__)
        choose, clear_errors = openssl.SSL_CTX_set_ciphersuites, openssl.ERR_clear_error
    except (AttributeError, OSError):
        raise TlsError("Failed to configure ciphersuites: this Python's ssl module has no way to choose them") from None
    choose.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    choose.restype = ctypes.c_int
    counterpart = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)

    def set_suites(suites: str) -> int:
        done = int(choose(counterpart, suites.encode()))
        # What OpenSSL noted of a refusal would be taken for the failure of some later handshake.
        clear_errors()
        return done

    return set_suites


def _reason(error: OSError) -> str:
    """OpenSSL's words, or the operating system's."""
    return getattr(error, "reason", None) or error.strerror or str(error)


class _Current(Context):
    """A context for a listening socket, which hands every connection to the one that is in force then."""

    current: Context

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        return self.current.wrap_bio(*args, **options)


class Tls:
    """What is in force in one process; nothing until `configure` has been called."""

    __slots__ = ("_make", "client", "server")

    def __init__(self, make: Callable[[TlsOptions], tuple[Context, Context]]) -> None:
        # `make_contexts`, or what stands in for it in the simulator.
        self._make = make
        # For listening sockets: always the same object.
        self.server: Context | None = None
        # For connections to be opened.
        self.client: Context | None = None

    def configure(self, options: TlsOptions) -> None:
        """From here on new connections are opened like this; raises TlsError, and then nothing has changed."""
        server, self.client = self._make(options)
        if not isinstance(self.server, _Current):
            self.server = _Current(ssl.PROTOCOL_TLS_SERVER)
        self.server.current = server
