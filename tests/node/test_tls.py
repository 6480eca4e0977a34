"""TLS for clients, beside a real redis-server: who is let in, what is refused at the start, what CONFIG SET changes."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from lab.authority import Certificates, certificates
from tests.conftest import IN_CI
from tests.node.own_server import ROOT, OwnServer
from tests.node.replication.nodes import Client, nodes_in
from tests.ports import free_base
from tests.waiting import wait_for

Start = Callable[..., OwnServer]


def options(certs: Certificates) -> list[str]:
    return [word for line in certs.directives() for word in f"--{line}".split()]


class Both:
    """Our server and a real one, with the same settings, each on a plain port and on one with TLS."""

    def __init__(self, folder: Path, certs: Certificates) -> None:
        base = free_base()
        self.certs = certs
        # Plain, then with TLS; ours first.
        self.ports = [(base, base + 1), (base + 2, base + 3)]
        self.processes = []
        programs = [[sys.executable, "-m", "lab", "server"], ["redis-server"]]
        for number, ((plain, secure), program) in enumerate(zip(self.ports, programs, strict=True)):
            home = folder / str(number)
            home.mkdir()
            words = [*program, "--port", str(plain), "--tls-port", str(secure), "--save", "", "--dir", str(home)]
            words += ["--bind", "127.0.0.1", "--logfile", "log", *options(certs)]
            self.processes.append(subprocess.Popen(words, cwd=ROOT))
        self.admins = [redis.Redis(port=plain) for plain, _ in self.ports]
        for admin in self.admins:
            wait_for(lambda admin=admin: _answers(admin), what="PONG")

    def configure(self, *words: str) -> list[object]:
        """What CONFIG SET answers on both."""
        return [_answer(lambda admin=admin: admin.execute_command("CONFIG", "SET", *words)) for admin in self.admins]

    def served(self, connect: Callable[[int], object]) -> list[bool]:
        """Whether `connect` gets through, on both."""
        return [_gets_through(connect, secure) for _, secure in self.ports]

    def close(self) -> None:
        for admin in self.admins:
            admin.close()
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, authority: Certificates) -> Iterator[Both]:
    if shutil.which("redis-server") is None:
        message = "redis-server is not installed (Debian: apt-get install redis-server)"
        pytest.fail(message) if IN_CI else pytest.skip(message)
    both = Both(tmp_path_factory.mktemp("both"), authority)
    yield both
    both.close()


@pytest.fixture
def both(started: Both, authority: Certificates) -> Both:
    """As they were started."""
    usual = ["tls-auth-clients", "yes", "tls-protocols", "", "tls-ciphers", "", "tls-ciphersuites", ""]
    usual += ["tls-cert-file", str(authority.cert), "tls-key-file", str(authority.key), "tls-key-file-pass", ""]
    assert started.configure(*usual) == [b"OK", b"OK"]
    return started


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _answer(ask: Callable[[], object]) -> object:
    try:
        return ask()
    except redis.ResponseError as error:
        return str(error)


def _gets_through(connect: Callable[[int], object], port: int) -> bool:
    try:
        connect(port)
    except (OSError, redis.ConnectionError):
        return False
    return True


def context(certs: Certificates, *, shows: Certificates | None = None) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(certs.ca_cert)
    if shows is not None:
        made.load_cert_chain(shows.cert, shows.key)
    return made


def ping(port: int, client: ssl.SSLContext) -> ssl.SSLSocket:
    """A conversation over TLS; raises OSError. Returns the socket, closed, for what it knows of the handshake."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        client.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        secure.sendall(b"PING\r\n")
        # With TLS 1.3 the server's refusal of a certificate comes after the handshake.
        if secure.recv(100) != b"+PONG\r\n":
            raise ConnectionResetError
        secure.version_seen, secure.certificate_seen = secure.version(), secure.getpeercert(binary_form=True)  # type: ignore[attr-defined]
        secure.cipher_seen = secure.cipher()  # type: ignore[attr-defined]
        return secure


@pytest.fixture(scope="module")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("other"), ["127.0.0.1"])


@pytest.mark.parametrize(
    ("auth_clients", "with_ours", "with_another", "with_none"),
    [("yes", True, False, False), ("optional", True, False, True), ("no", True, True, True)],
)
def test_whose_certificate_lets_in(
    both: Both,
    other_authority: Certificates,
    auth_clients: str,
    with_ours: bool,
    with_another: bool,
    with_none: bool,
) -> None:
    assert both.configure("tls-auth-clients", auth_clients) == [b"OK", b"OK"]
    certs = both.certs
    for shows, expected in ((certs, with_ours), (other_authority, with_another), (None, with_none)):
        seen = both.served(lambda port, shows=shows: ping(port, context(certs, shows=shows)))
        assert seen == [expected, expected]


@pytest.mark.parametrize(
    ("protocols", "with_2", "with_3"),
    [("", True, True), ("TLSv1.2", True, False), ("TLSv1.3", False, True), ("tlsv1.2 TLSv1.3", True, True)],
)
def test_protocols(both: Both, protocols: str, with_2: bool, with_3: bool) -> None:
    assert both.configure("tls-protocols", protocols) == [b"OK", b"OK"]
    for version, expected in ((ssl.TLSVersion.TLSv1_2, with_2), (ssl.TLSVersion.TLSv1_3, with_3)):
        client = context(both.certs, shows=both.certs)
        client.minimum_version = client.maximum_version = version
        assert both.served(lambda port, client=client: ping(port, client)) == [expected, expected]


def test_ciphers(both: Both) -> None:
    client = context(both.certs, shows=both.certs)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    assert both.configure("tls-ciphers", "DEFAULT:-ECDHE-ECDSA-AES128-GCM-SHA256") == [b"OK", b"OK"]
    assert both.served(lambda port: ping(port, client)) == [False, False]
    assert both.configure("tls-ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256") == [b"OK", b"OK"]
    assert both.served(lambda port: ping(port, client)) == [True, True]


def test_suites_of_tls_1_3(both: Both) -> None:
    assert both.configure("tls-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256") == [b"OK", b"OK"]
    for _, port in both.ports:
        seen = ping(port, context(both.certs, shows=both.certs)).cipher_seen  # type: ignore[attr-defined]
        assert seen[0] == "TLS_CHACHA20_POLY1305_SHA256"


def test_who_speaks_no_tls_is_hung_up_on(both: Both) -> None:
    for _, port in both.ports:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"PING\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert not client.recv(100).startswith(b"+")


def test_large_replies_and_pipelines(both: Both) -> None:
    certs = both.certs
    for _, port in both.ports:
        with redis.Redis(
            port=port, ssl=True, ssl_ca_certs=certs.ca_cert, ssl_certfile=certs.cert, ssl_keyfile=certs.key
        ) as client:
            client.set("big", b"x" * 3_000_000)
            assert client.get("big") == b"x" * 3_000_000
            with client.pipeline(transaction=False) as pipeline:
                for number in range(2000):
                    pipeline.set(f"key:{number}", number).get(f"key:{number}")
                assert pipeline.execute()[1::2] == [b"%d" % number for number in range(2000)]
            client.flushall()


def test_a_new_certificate_is_shown_without_a_restart(both: Both, tmp_path: Path) -> None:
    renewed = _signed_again(both.certs, tmp_path)
    client = context(both.certs, shows=both.certs)
    old = [ping(port, client).certificate_seen for _, port in both.ports]  # type: ignore[attr-defined]
    assert old[0] == old[1]
    assert both.configure("tls-cert-file", str(renewed.cert), "tls-key-file", str(renewed.key)) == [b"OK", b"OK"]
    new = [ping(port, client).certificate_seen for _, port in both.ports]  # type: ignore[attr-defined]
    assert new[0] == new[1] != old[0]


def _signed_again(certs: Certificates, folder: Path, *more: str) -> Certificates:
    """Another certificate of the same authority."""
    renewed = Certificates(folder)
    key = ("-newkey", "rsa:2048", *(more or ("-nodes",)))
    _openssl("req", *key, "-subj", "/CN=again", "-keyout", renewed.key, "-out", folder / "csr")
    ca_key = certs.folder / "ca.key"
    signing = ("-CA", certs.ca_cert, "-CAkey", ca_key, "-CAcreateserial", "-extfile", certs.folder / "lab.ext")
    _openssl("x509", "-req", "-in", folder / "csr", *signing, "-out", renewed.cert)
    return renewed


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.mark.parametrize(
    "words",
    [
        ("tls-cert-file", "/nowhere"),
        ("tls-key-file", "/nowhere"),
        ("tls-ca-cert-file", "/nowhere"),
        ("tls-protocols", "TLSv9"),
        ("tls-ciphers", "NOSUCH"),
        ("tls-cert-file", ""),
        ("tls-auth-clients", "perhaps"),
        ("tls-port", "70000"),
        ("tls-dh-params-file", "/nowhere"),
    ],
    ids=" ".join,
)
def test_what_config_set_refuses_leaves_everything_as_it_was(both: Both, words: tuple[str, ...]) -> None:
    ours, theirs = both.configure(*words)
    assert ours == theirs
    assert ours != b"OK"
    client = context(both.certs, shows=both.certs)
    assert both.served(lambda port: ping(port, client)) == [True, True]


def test_a_key_with_a_password(both: Both, tmp_path: Path) -> None:
    locked = _signed_again(both.certs, tmp_path, "-passout", "pass:secret")
    files = ("tls-cert-file", str(locked.cert), "tls-key-file", str(locked.key))
    wrong = both.configure(*files, "tls-key-file-pass", "wrong")
    # On which of the arguments Redis puts the blame is the order of its own table.
    assert all(str(answer).endswith("Unable to update TLS configuration. Check server logs.") for answer in wrong)
    assert both.configure(*files, "tls-key-file-pass", "secret") == [b"OK", b"OK"]
    assert both.served(lambda port: ping(port, context(both.certs, shows=both.certs))) == [True, True]


def test_ports_change_while_it_runs(start_server: Start, authority: Certificates) -> None:
    base = free_base()
    server = start_server("--tls-port", str(base + 1), *options(authority), port=base).wait_ready()
    admin = server.client()
    client = context(authority, shows=authority)
    ping(base + 1, client)
    assert admin.ask("CONFIG", "SET", "port", "0") == b"+OK\r\n"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", base), timeout=5)
    assert admin.ask("PING") == b"+PONG\r\n", "who is connected stays"
    assert admin.ask("CONFIG", "SET", "tls-port", str(base + 2), "port", str(base + 3)) == b"+OK\r\n"
    ping(base + 2, client)
    with socket.create_connection(("127.0.0.1", base + 3), timeout=5), pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", base + 1), timeout=5)
    with socket.create_server(("127.0.0.1", base + 4)):
        refusal = admin.ask("CONFIG", "SET", "port", str(base + 4))
    assert refusal.endswith(b"argument 'port') - Unable to listen on this port. Check server logs.\r\n")
    assert admin.ask("CONFIG", "GET", "port").endswith(b"\r\n%d\r\n" % (base + 3))
    socket.create_connection(("127.0.0.1", base + 3), timeout=5).close()
    assert admin.ask("CONFIG", "SET", "bind", "127.0.0.1 192.0.2.1").endswith(
        b"Failed to bind to specified addresses.\r\n"
    )
    socket.create_connection(("127.0.0.1", base + 3), timeout=5).close()
    ping(base + 2, client)


@pytest.mark.parametrize(
    "missing",
    ["tls-cert-file", "tls-key-file", "tls-ca-cert-file"],
)
def test_what_is_missing_at_the_start(
    start_server: Start, authority: Certificates, tmp_path: Path, missing: str
) -> None:
    given = [word for line in authority.directives() if missing not in line for word in f"--{line}".split()]
    base = free_base()
    words = ["--tls-port", str(base + 1), *given]
    ours = start_server(*words, port=base)
    assert ours.wait_end() == 1
    theirs = subprocess.run(
        ["redis-server", "--port", str(base), *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert theirs.returncode == 1
    said = [[line.partition(" # ")[2] for line in log.splitlines()[-2:]] for log in (ours.log, theirs.stdout)]
    assert said[0] == said[1]


def test_redis_cli(start_server: Start, authority: Certificates) -> None:
    base = free_base()
    server = start_server("--port", "0", "--tls-port", str(base + 1), *options(authority), port=base).wait_ready()
    told = ["--tls", "--cacert", authority.ca_cert, "--cert", authority.cert, "--key", authority.key]
    answer = subprocess.run(
        ["redis-cli", "-p", str(base + 1), *map(str, told), "INFO", "server"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"tcp_port:{base + 1}\n" in answer.stdout.replace("\r", "")
    assert "listen anywhere" not in server.log


def test_a_port_that_is_taken(start_server: Start, authority: Certificates) -> None:
    base = free_base()
    with socket.create_server(("127.0.0.1", base + 1)):
        server = start_server("--tls-port", str(base + 1), *options(authority), port=base)
        assert server.wait_end() == 1
    assert f"Failed listening on port {base + 1} (TLS), aborting." in server.log


async def test_what_is_set_while_the_ports_are_opened(tmp_path: Path, authority: Certificates) -> None:
    """Who comes by the first port may be quicker than the second one."""
    base = free_base()
    files = {"tls_cert_file": authority.cert, "tls_key_file": authority.key, "tls_ca_cert_file": authority.ca_cert}
    async for nodes in nodes_in(tmp_path):
        starting = asyncio.ensure_future(
            nodes.start("own", port=base, tls_port=base + 1, **{name: str(path) for name, path in files.items()})
        )
        client = None
        while client is None:
            with contextlib.suppress(ConnectionRefusedError):
                client = await Client.connect(base)
            await asyncio.sleep(0)
        asked = [await client("CONFIG", "SET", "maxclients", number) for number in range(100, 110)]
        assert asked == [b"OK"] * 10
        assert await client("CONFIG", "SET", "tls-port", base + 2) == b"OK"
        await starting
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", base + 1), timeout=5)
        socket.create_connection(("127.0.0.1", base + 2), timeout=5).close()
        await client.close()
