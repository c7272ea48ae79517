"""What is handed to operators works: the service file and the configurations in the docs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tocsin.config import load

ROOT = Path(__file__).parent.parent


def test_the_service_is_hardened() -> None:
    """By systemd's own judgement: exposure of at most 2.0 ("OK")."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing; tests/install-tools installs it")
    unit = ROOT / "packaging" / "tocsin.service"
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert 0 == done.returncode, done.stdout + done.stderr


def test_the_three_configurations_make_one_cluster(tmp_path: Path) -> None:
    """Each file in "Three machines" is accepted as it stands, and each node dials the other two."""
    text = (ROOT / "docs" / "three-machines.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    configs = []
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.toml"
        path.write_text(block)
        configs.append(load(path, {}, {}))
    assert ["node1", "node2", "node3"] == [config.node.name for config in configs]
    for rail in range(2):
        listens = {config.rails[rail].listen for config in configs}
        for config in configs:
            assert listens == {config.rails[rail].listen, *config.rails[rail].connect}
