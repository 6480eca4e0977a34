"""One project, however compose is told of its files: so the lab goes on with its volumes with TLS and without."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.compose.conftest import ROOT, compose_command

# Asked for in a label: what `config` prints does not name the project itself in every version of compose.
LABEL = "services: {node-0: {labels: {project: 'is ${COMPOSE_PROJECT_NAME:-unknown}'}}}\n"


@pytest.mark.skipif(shutil.which("docker") is None, reason="no docker command")
@pytest.mark.parametrize("files", [["docker-compose.yml"], ["docker-compose.yml", "tls.yml"]])
def test_the_project_has_one_name(tmp_path: Path, files: list[str]) -> None:
    label = tmp_path / "label.yml"
    label.write_text(LABEL)
    chosen = [word for name in files for word in ("-f", f"compose/{name}")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}
    done = subprocess.run(
        [*compose_command(), *chosen, "-f", str(label), "config"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "project: is shardlab\n" in done.stdout
