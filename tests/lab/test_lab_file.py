from __future__ import annotations

from pathlib import Path

import pytest

from lab.drivers.process import Identity, Life
from lab.errors import LabError
from lab.lab_file import Entry, Lab, changing, load, load_existing
from lab.topology import Topology, seats


def make(folder: Path) -> Lab:
    topology = Topology()
    return Lab(
        topology=topology,
        processes=[Entry.of(seat, folder / seat.name, ["program", seat.name]) for seat in seats(topology)],
    )


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    lab = make(tmp_path)
    lab.processes[0].identity = Identity(12, 345)
    lab.save(tmp_path)
    assert load(tmp_path) == lab
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab.json"]


def test_it_lists_what_the_design_promises(tmp_path: Path) -> None:
    fields = make(tmp_path).processes[0].model_dump()
    assert {"name", "role", "host", "port", "bus_port", "pid", "log", "folder", "command"} <= set(fields)


def test_no_file_is_no_lab(tmp_path: Path) -> None:
    assert load(tmp_path) is None
    with pytest.raises(LabError, match=r"no lab in .*; start one with: shardlab up --dir"):
        load_existing(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Invalid JSON"),
        (b"\xff\xfe", "Invalid JSON"),
        (b"[]", "Input should be an object"),
        (b'{"topology": {}}', "processes: Field required"),
        (b'{"topology": {"masters": "many"}, "processes": []}', "topology.masters: "),
        (b'{"topology": {}, "processes": [{"name": "node-0"}]}', "processes.0.role: Field required"),
    ],
)
def test_a_damaged_file_is_said_to_be_damaged(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "lab.json").write_bytes(content)
    with pytest.raises(LabError) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/lab.json is damaged: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"no process is called 'node-9' here; there are: node-0, .*, sentinel-2, proxy"):
        make(tmp_path).find("node-9")


def test_a_process_that_was_never_started_is_dead(tmp_path: Path) -> None:
    assert make(tmp_path).processes[0].life is Life.DEAD


def test_one_command_at_a_time(tmp_path: Path) -> None:
    with changing(tmp_path), pytest.raises(LabError, match="another shardlab command"), changing(tmp_path):
        pass
    with changing(tmp_path):
        pass


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match="is not a folder"):
        load(tmp_path / "file")
