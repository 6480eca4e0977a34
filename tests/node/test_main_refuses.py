"""What redis-server refuses to start with, and in which words: the same command line for both."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from node.main import main

WRONG = [
    "--nosuch 1",
    "--port",
    "--port abc",
    "--port 1 2",
    "--port 65536",
    "--port -1",
    "--port 007",
    "--databases 0",
    "--io-threads 0",
    "--unixsocketperm 9",
    "--unixsocketperm 1777",
    "--maxmemory abc",
    "--maxmemory 1.5gb",
    "--maxmemory -1",
    "--maxmemory-clients 101%",
    "--maxmemory-clients x%",
    "--repl-backlog-size 0",
    "--proto-max-bulk-len 100",
    "--save 1",
    "--save '' 1",
    "--save '900 1 x'",
    "--save -1 1",
    "--save 0 1",
    "--client-output-buffer-limit foo 1 2 3",
    "--client-output-buffer-limit normal a 2 3",
    "--client-output-buffer-limit normal 1 2",
    "--client-output-buffer-limit normal -1 2 3",
    "--client-output-buffer-limit normal 1 2 -3",
    "--dir /nosuch",
    "--replicaof a",
    "--replicaof a b",
    "--replicaof a 70000",
    "--cluster-enabled yes --replicaof localhost 1",
    "--logfile /nosuch/x",
    "--notify-keyspace-events Q",
    "--maxclients 0",
    "--oom-score-adj-values 1 2",
    "--oom-score-adj-values 1 2 3000",
    "--appendfilename a/b",
    "--appendfilename ''",
    "--appenddirname ''",
    "--appenddirname a/b",
    "--dbfilename a/b",
    "--shutdown-on-sigterm save nosave",
    "--shutdown-on-sigterm never",
    "--shutdown-on-sigint",
    "--cluster-announce-hostname a_b",
    "--latency-tracking-info-percentiles 1 2 3 x",
    "--latency-tracking-info-percentiles 101",
    "--hz -1",
    "--proc-title-template {foo}",
    "--proc-title-template {title}",
    "--supervised foo",
    "--syslog-facility foo",
    "--loglevel loud",
    "--appendonly maybe",
    "--appendfsync sometimes",
    "--maxmemory-policy random",
    "--rename-command FOO BAR",
    "--rename-command GET SET",
    "--rename-command GET FOO --rename-command GET BAR",
    "--rename-command GET",
    "--user",
    "--user x on --user x off",
    "--list-max-ziplist-entries 1 --port x",
    "--slave-priority x",
    "--bind 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
    "--loglevel verbose --PORT x",
]

FILES = [
    'port 1\nfoo "bar\n',
    "port 1\nappendonly maybe\n",
    "# a comment\n\n  port   x  \n",
    "include nosuch*.conf\nbogus\n",
    "port 1\ninclude other.conf\n",
    "save 900 1\nsave 1\n",
    "maxmemory 1gb trailing\n",
    '"-x"\n',
    "client-output-buffer-limit normal 0 0 0 pubsub 1\n",
]


def refusal_of_redis(arguments: list[str], folder: Path) -> tuple[int, str]:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    done = subprocess.run(["redis-server", *arguments], cwd=folder, capture_output=True, text=True, timeout=10)
    return done.returncode, done.stderr


@pytest.mark.parametrize("line", WRONG)
def test_command_lines(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = refusal_of_redis(shlex.split(line), tmp_path)
    monkeypatch.chdir(tmp_path)
    assert (main(shlex.split(line)), capsys.readouterr().err) == expected
    assert expected[0] == 1, "the oracle must have refused it"


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("x on foo", "'foo': Syntax error"),
        ("x (~a", "'(~a': Unmatched parenthesis"),
        ("x ~* ~a", "'~a': Adding a pattern after"),
    ],
)
def test_a_rule_that_no_command_table_makes_right(
    words: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Redis' text, only that it names another word of the line (by the rule's place among the rules)."""
    (tmp_path / "redis.conf").write_text(f"user {words}\n")
    expected = refusal_of_redis(["redis.conf"], tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["redis.conf"]) == expected[0] == 1
    told = capsys.readouterr().err
    assert f"Error in user declaration {wrong}" in told
    assert told.splitlines()[:-1] == expected[1].splitlines()[:-1]


@pytest.mark.parametrize("text", FILES)
def test_files(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "redis.conf").write_text(text)
    (tmp_path / "other.conf").write_text("bogus 1\n")
    expected = refusal_of_redis(["redis.conf"], tmp_path)
    monkeypatch.chdir(tmp_path)
    assert (main(["redis.conf"]), capsys.readouterr().err) == expected
    assert expected[0] == 1, "the oracle must have refused it"


def test_the_options_come_behind_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "redis.conf").write_text("port 1\n# two\ntimeout 5\n")
    arguments = ["redis.conf", "--hz", "20", "--timeout", "x"]
    expected = refusal_of_redis(arguments, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert (main(arguments), capsys.readouterr().err) == expected


def test_a_missing_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["nosuch.conf"]) == 1
    assert "# Fatal error, can't open config file 'nosuch.conf': No such file or directory\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--tls-port", "1"], "Failed to configure TLS"),
        (["--aclfile", "users.acl"], "because of ACL errors"),
        (["--aclfile", "nosuch/users.acl"], "because of ACL errors"),
        (["--user", "x", "on", "--aclfile", "users.acl"], "but not both."),
        (["--user", "x", "+nosuch"], "# Error loading ACL rule '+nosuch' for the user named 'x': Unknown command"),
        (["--loadmodule", "x.so"], "Can't load module from x.so: server aborting"),
        (["--bind", ""], "Configured to not listen anywhere, exiting."),
        (["--port", "0"], "Configured to not listen anywhere, exiting."),
    ],
)
def test_what_cannot_be_kept_is_not_promised(
    arguments: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    assert reason in capsys.readouterr().out


@pytest.mark.parametrize("word", ["-v", "--version", "-h", "--help", "--test-memory"])
def test_words_that_only_print(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = main([word])
    captured = capsys.readouterr()
    if word in ("-v", "--version"):
        assert status == 0
        assert captured.out.startswith("Redis server v=7.0.15 ")
    else:
        assert status == 1
        assert captured.err
