"""`unixsocket`: what clients on the same machine can use in place of a port, beside what a real server does."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.node.own_server import ROOT
from tests.waiting import wait_for

SERVERS = {"ours": [sys.executable, "-m", "lab", "server"], "theirs": ["redis-server"]}


def start(kind: str, folder: Path, *options: str) -> subprocess.Popen[bytes]:
    path = folder / "node.sock"
    words = ("--port", "0", "--save", "", "--dir", str(folder), "--logfile", "log", "--unixsocket", path.name)
    process = subprocess.Popen([*SERVERS[kind], *words, *options], cwd=ROOT)
    wait_for(lambda: _answers(path), what=f"a server at {path}")
    return process


def _answers(path: Path) -> bool:
    try:
        with redis.Redis(unix_socket_path=str(path)) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture(params=SERVERS)
def socket(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """The socket of a server that listens nowhere else."""
    process = start(request.param, tmp_path, "--unixsocketperm", "700", "--enable-debug-command", "local")
    yield tmp_path / "node.sock"
    process.kill()
    process.wait()


def test_a_client_by_the_socket(socket: Path) -> None:
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    with redis.Redis(unix_socket_path=str(socket)) as client, client.monitor() as monitor:
        assert client.set("key", "value")
        told = next(told for told in monitor.listen() if told["command"] == "SET key value")
        assert (told["client_type"], told["client_port"]) == ("unix", socket.name)
        mine = client.client_info()
        assert (mine["addr"], mine["laddr"], mine["flags"]) == (f"{socket.name}:0", f"{socket.name}:0", "U")
        client.config_set("slowlog-log-slower-than", 0)
        client.get("key")
        assert client.slowlog_get(1)[0]["client_address"] == f"{socket.name}:0".encode()
        # It is local, so what only local clients may do is open to it.
        assert client.execute_command("DEBUG", "SLEEP", "0") == b"OK"
        assert client.client_list()
        assert client.client_kill_filter(addr=f"{socket.name}:0") >= 1


@pytest.mark.parametrize("kind", SERVERS)
def test_the_file_goes_with_the_server(kind: str, tmp_path: Path) -> None:
    process = start(kind, tmp_path)
    process.terminate()
    assert process.wait(10) == 0
    assert not (tmp_path / "node.sock").exists()
    log = (tmp_path / "log").read_text()
    assert "The server is now ready to accept connections at node.sock" in log
    assert "Removing the unix socket file." in log


@pytest.mark.parametrize("kind", SERVERS)
def test_one_left_behind_is_replaced(kind: str, tmp_path: Path) -> None:
    process = start(kind, tmp_path)
    process.kill()
    process.wait()
    assert (tmp_path / "node.sock").is_socket()
    process = start(kind, tmp_path)
    process.kill()
    process.wait()


@pytest.mark.parametrize("kind", SERVERS)
def test_so_is_a_file_of_another_kind(kind: str, tmp_path: Path) -> None:
    """Who makes up a name for a socket makes the file, as often as not."""
    (tmp_path / "node.sock").write_text("no socket")
    process = start(kind, tmp_path)
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("no-such-folder/node.sock", "bind: No such file or directory"),
        ("a-folder", "bind: Address already in use"),
        ("x" * 120, "unix socket path too long (120), must be under 108"),
    ],
)
@pytest.mark.parametrize("kind", SERVERS)
def test_where_there_can_be_none(kind: str, path: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "a-folder").mkdir()
    words = ("--port", "0", "--dir", str(tmp_path), "--unixsocket", path)
    ended = subprocess.run([*SERVERS[kind], *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=20)
    assert ended.returncode == 1
    assert f"# Failed opening Unix socket: {why}" in ended.stdout
