"""A whole `quantbench run` whose model or data the hub does not give: as a user sees it."""

import subprocess
import sys
from pathlib import Path

import yaml
from machine import environment

from fake_hub import FakeHub


def run(hub: FakeHub, folder: Path, model: str) -> subprocess.CompletedProcess[str]:
    config = {
        "task": "question-answering",
        "model_name_or_path": model,
        "dataset": {
            "path": "squad",
            "data_keys": {"question": "question", "context": "context"},
            "ref_keys": ["answers"],
        },
    }
    (folder / "sweep.yaml").write_text(yaml.safe_dump(config))
    variables = environment(hub, folder / "home") | {"QUANTBENCH_STORE": str(folder / "store")}
    return subprocess.run(
        [sys.executable, "-m", "quantbench", "run", "sweep.yaml", "--out", "out"],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_ends_with_2_and_one_message_and_leaves_no_run(
    hub: FakeHub, tmp_path: Path, model_folder: Path
) -> None:
    hub.add("model", "owner/name", model_folder)
    for model, expected in (
        ("owner/nme", "no such model on the hub that you may see"),
        ("owner/name", "no such dataset on the hub that you may see"),
    ):
        done = run(hub, tmp_path, model)
        assert done.returncode == 2, done.stderr
        assert expected in done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        assert not (tmp_path / "out").exists()
    assert hub.asked("/api/datasets/rajpurkar/squad") == 1
