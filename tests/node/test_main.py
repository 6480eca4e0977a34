"""The server as a process: what it starts from, what it says, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.node.own_server import OwnServer
from tests.ports import free_base
from tests.waiting import wait_for
from wire.encoder import encode_command

Start = Callable[..., OwnServer]
_DEBIAN_CONF = Path("/etc/redis/redis.conf")


@pytest.mark.skipif(not _DEBIAN_CONF.exists(), reason="Debian's redis-server is not installed")
def test_the_distribution_s_configuration_loads(start_server: Start, tmp_path: Path) -> None:
    options = ("--daemonize", "no", "--pidfile", "", "--logfile", "", "--dir", str(tmp_path), "--save", "")
    server = start_server(*options, file=str(_DEBIAN_CONF)).wait_ready()
    assert server.client().ask("CONFIG", "GET", "acllog-max-len") == b"*2\r\n$14\r\nacllog-max-len\r\n$3\r\n128\r\n"


def test_the_log_reads_like_redis(start_server: Start) -> None:
    server = start_server().wait_ready()
    lines = server.log.splitlines()
    assert lines[0].startswith(f"{server.process.pid}:C ")
    assert lines[0].endswith(" # oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo")
    assert lines[-1].startswith(f"{server.process.pid}:M ")
    assert lines[-1].endswith(" * Ready to accept connections")


def test_the_logo_says_what_tools_look_for(start_server: Start) -> None:
    """As redis-server's does, and when the ports are open."""
    server = start_server("--always-show-logo", "yes", "--cluster-enabled", "yes")
    wait_for(lambda: "PID: " in server.log, what="the logo")
    client = server.client()
    assert client.ask("PING")[:1] in (b"+", b"-")
    logo, _, rest = server.log.partition("PID: ")
    assert rest.startswith(f"{server.process.pid}\n")
    assert f"Port: {server.port}" in logo
    assert "Running in cluster mode" in logo
    assert "Redis 7.0" in logo
    assert "Server initialized" not in logo
    assert "Server initialized" in rest
    assert "Running mode=" not in server.log


def test_the_command_line_counts_more_than_stdin_and_stdin_more_than_the_file(
    start_server: Start, tmp_path: Path
) -> None:
    (tmp_path / "base.conf").write_text("timeout 1\nhz 1\nmaxclients 77\n")
    (tmp_path / "redis.conf").write_text(f"include {tmp_path}/base.conf\ntimeout 2\nhz 2\nrepl-timeout 22\n")
    server = start_server(
        "--timeout", "4", "-", file=str(tmp_path / "redis.conf"), stdin=b"timeout 3\nhz 3\n"
    ).wait_ready()
    client = server.client()
    shown = {name: client.ask("CONFIG", "GET", name) for name in ("timeout", "hz", "repl-timeout", "maxclients")}
    assert shown == {
        "timeout": b"*2\r\n$7\r\ntimeout\r\n$1\r\n4\r\n",
        "hz": b"*2\r\n$2\r\nhz\r\n$1\r\n3\r\n",
        "repl-timeout": b"*2\r\n$12\r\nrepl-timeout\r\n$2\r\n22\r\n",
        "maxclients": b"*2\r\n$10\r\nmaxclients\r\n$2\r\n77\r\n",
    }


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_saves_and_ends(name: str, start_server: Start) -> None:
    server = start_server("--save", "3600 1").wait_ready()
    server.client().ask("SET", "a", "1")
    server.process.send_signal(signal.Signals[name])
    assert server.wait_end() == 0
    assert f"Received {name} scheduling shutdown..." in server.log
    assert "DB saved on disk" in server.log
    assert server.log.endswith("# Redis is now ready to exit, bye bye...\n")
    again = start_server(port=server.port).wait_ready()
    assert again.client().ask("GET", "a") == b"$1\r\n1\r\n"


def test_a_crash_by_a_signal_is_in_the_log(start_server: Start) -> None:
    server = start_server("--save", "3600 1").wait_ready()
    server.client().ask("SET", "a", "1")
    server.process.send_signal(signal.SIGABRT)
    assert server.wait_end() == -signal.SIGABRT
    assert "crashed by signal: 6" in server.log
    assert not (server.folder / "dump.rdb").exists()


def test_who_insists_does_not_wait_for_the_last_snapshot(start_server: Start) -> None:
    """A second SIGINT ends it in the middle of saving, and leaves nothing behind; 20 keys would take two seconds."""
    server = start_server("--save", "3600 1").wait_ready()
    client = server.client()
    client.ask_all([*[("SET", f"k{at}", "v") for at in range(20)], ("CONFIG", "SET", "rdb-key-save-delay", "100000")])
    unfinished = server.folder / f"temp-{server.process.pid}.rdb"
    server.process.send_signal(signal.SIGINT)
    wait_for(unfinished.exists, what="the snapshot's beginning")
    server.process.send_signal(signal.SIGINT)
    assert server.wait_end() == 1
    assert server.log.endswith("# You insist... exiting now.\n")
    assert not [file.name for file in server.folder.iterdir() if file.suffix == ".rdb"]


def test_without_save_points_nothing_is_saved(start_server: Start) -> None:
    server = start_server("--save", "").wait_ready()
    server.client().ask("SET", "a", "1")
    server.process.terminate()
    assert server.wait_end() == 0
    assert not (server.folder / "dump.rdb").exists()


def test_a_taken_port_is_named(start_server: Start) -> None:
    with socket.create_server(("127.0.0.1", free_base())) as taken:
        port = taken.getsockname()[1]
        server = start_server(port=port)
        assert server.wait_end() == 1
    expected = f"Could not create server TCP listening socket 127.0.0.1:{port}: bind: Address already in use"
    assert expected in server.log
    assert f"Failed listening on port {port} (TCP), aborting." in server.log
    assert "Traceback" not in server.log


def test_it_goes_to_the_background(start_server: Start, tmp_path: Path) -> None:
    pid_file, log_file = tmp_path / "pid", tmp_path / "log"
    server = start_server("--daemonize", "yes", "--pidfile", str(pid_file), "--logfile", str(log_file))
    assert server.wait_end() == 0
    wait_for(lambda: log_file.exists() and "Ready to accept" in log_file.read_text(), what="the daemon's log")
    pid = int(pid_file.read_text())
    assert pid != server.process.pid
    assert server.client().ask("PING") == b"+PONG\r\n"
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: "bye bye" in log_file.read_text(), what="the daemon's end")
    assert not pid_file.exists()


@pytest.mark.parametrize(("subcommand", "number"), [("SEGFAULT", signal.SIGSEGV), ("PANIC", signal.SIGABRT)])
def test_a_crash_on_request_is_a_real_one(subcommand: str, number: int, start_server: Start) -> None:
    server = start_server("--enable-debug-command", "local", "--save", "3600 1").wait_ready()
    client = server.client()
    client.ask("SET", "a", "1")
    client.send(encode_command([b"DEBUG", subcommand.encode()]))
    assert server.wait_end() == -number
    assert not (server.folder / "dump.rdb").exists()


def test_debug_is_closed_unless_opened(start_server: Start) -> None:
    server = start_server().wait_ready()
    assert server.client().ask("DEBUG", "SEGFAULT").startswith(b"-ERR DEBUG command not allowed.")
    assert server.client().ask("PING") == b"+PONG\r\n"


def test_shutdown(start_server: Start) -> None:
    server = start_server("--save", "3600 1").wait_ready()
    client = server.client()
    assert client.ask("SHUTDOWN", "SAVE", "NOSAVE") == b"-ERR syntax error\r\n"
    assert client.ask("SHUTDOWN", "ABORT") == b"-ERR No shutdown in progress.\r\n"
    client.ask("SET", "a", "1")
    client.send(encode_command([b"SHUTDOWN", b"NOSAVE"]))
    assert server.wait_end() == 0
    assert not (server.folder / "dump.rdb").exists()


def test_a_shutdown_that_cannot_save_is_called_off(start_server: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    server = start_server("--save", "3600 1", "--dir", str(data)).wait_ready()
    client = server.client()
    client.ask("SET", "a", "1")
    data.rename(tmp_path / "elsewhere")
    assert client.ask("SHUTDOWN") == b"-ERR Errors trying to SHUTDOWN. Check logs.\r\n"
    assert client.ask("GET", "a") == b"$1\r\n1\r\n"
    client.send(encode_command([b"SHUTDOWN", b"FORCE"]))
    assert server.wait_end() == 0


def test_renamed_commands(start_server: Start) -> None:
    server = start_server("--rename-command", "FLUSHALL", "WIPE", "--rename-command", "DEBUG", "").wait_ready()
    client = server.client()
    assert client.ask("FLUSHALL").startswith(b"-ERR unknown command 'FLUSHALL'")
    assert client.ask("DEBUG", "SLEEP", "0").startswith(b"-ERR unknown command 'DEBUG'")
    assert client.ask("wipe") == b"+OK\r\n"
    # Permissions go by the usual name.
    assert client.ask("ACL", "SETUSER", "bob", "on", "nopass", "+wipe").startswith(b"-ERR Error in ACL SETUSER")
    assert client.ask("ACL", "SETUSER", "bob", "on", "nopass", "+flushall", "-debug") == b"+OK\r\n"
    assert client.ask("AUTH", "bob", "any") == b"+OK\r\n"
    assert client.ask("WIPE") == b"+OK\r\n"
    assert client.ask("GET", "a").startswith(b"-NOPERM")


def test_a_corrupt_nodes_conf_ends_the_start(start_server: Start, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "nodes.conf").write_text("garbage")
    server = start_server("--cluster-enabled", "yes")
    assert server.wait_end() == 1
    assert "Unrecoverable error: corrupted cluster config file" in server.log
    assert "Traceback" not in server.log


def test_a_corrupt_rdb_ends_the_start(start_server: Start, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "dump.rdb").write_bytes(b"REDIS0010garbage")
    server = start_server()
    assert server.wait_end() == 1
    assert "Traceback" not in server.log
    # The file is evidence, and perhaps somebody's data.
    assert (tmp_path / "own" / "dump.rdb").read_bytes() == b"REDIS0010garbage"
