"""A long grid is timed in groups: memory is bounded, and no row is compared across sessions."""

from pathlib import Path

import pytest

from fake_backend import FakeBackend
from quantbench import cli, registry, run_dir
from quantbench.analysis.compare import summarize

CONFIG = """
task: question-answering
model_name_or_path: m
dataset:
  path: d
  data_keys: {question: question, context: context}
  ref_keys: [answers]
framework_args: {opset: 13}
batch_sizes: [1]
input_lengths: [32]
backend_args: {memory_gib: GIB}
benchmarked:
  quantization_approach: [dynamic]
  operators_to_quantize: [[MatMul], [Gather], [MatMul, Gather]]
  per_channel: [false, true]
"""
BASE = ["original", "reference", "reference_twin"]


def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gib: float, *arguments: str
) -> tuple[int, FakeBackend]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTBENCH_STORE", str(tmp_path / "store"))
    backend = FakeBackend()
    monkeypatch.setattr(registry, "backend", lambda _: backend)
    Path("sweep.yaml").write_text(CONFIG.replace("GIB", str(gib)))
    return cli.main(["run", "sweep.yaml", "--quiet", *arguments]), backend


def roles(backend: FakeBackend) -> list[list[str]]:
    return [sorted(arm.role for arm in session) for session in backend.timed]


def test_arms_that_fit_are_timed_in_one_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, backend = run(tmp_path, monkeypatch, 16)
    assert code == 0
    assert roles(backend) == [BASE + ["row"] * 5]


def test_others_are_timed_in_groups_each_with_its_own_original_reference_and_twin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, backend = run(tmp_path, monkeypatch, 2.6)  # five arms that may take half a GiB each
    assert code == 0
    # The original, the reference and the twin took next to nothing: now all others fit.
    assert roles(backend) == [BASE + ["row"] * 2, BASE + ["row"] * 3]
    timed = [arm.id for session in backend.timed for arm in session if arm.role == "row"]
    assert len(set(timed)) == 5


def test_each_row_is_compared_within_its_own_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, monkeypatch, 2.6)
    result = run_dir.load_run(Path("runs/sweep"), registry.catalog())
    summary = summarize(result, registry.task("question-answering").spec)
    sessions = {
        arm.arm.id: {timing.session for timing in arm.timings if timing.outcome == "completed"}
        for arm in result.arms
    }
    assert sessions["original"] == {"session 1", "session 2"}
    assert all(row.arm is not None and row.arm.speedup is not None for row in summary.rows)
    card = Path("runs/sweep/README.md").read_text()
    floors = card.split("## Noise floor")[1].split("\n## ")[0]
    assert "Not all rows were timed in one session" in floors
    assert [sorted(noise.rows) for noise in summary.noise] == [[1, 2, 3], [4, 5, 6]]
    assert summary.noise_of(summary.cells[0], 2) == summary.noise[0]
    assert summary.noise_of(summary.cells[0], 5) == summary.noise[1]


def test_an_arm_without_room_fails_alone_and_says_how_to_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, backend = run(tmp_path, monkeypatch, 1.9)
    assert code in (1, 4)
    assert backend.timed == []
    result = run_dir.load_run(Path("runs/sweep"), registry.catalog())
    failed = [arm.timings[0] for arm in result.arms if arm.arm.role == "row"]
    assert len(failed) == 5
    for timing in failed:
        assert timing.outcome == "failed"
        assert "memory budget of 1.9 GiB" in timing.error
        assert timing.hint is not None
        assert "memory_gib" in timing.hint
    assert "memory budget of 1.9 GiB" in Path("runs/sweep/log.txt").read_text()


@pytest.mark.parametrize("value", ["0", "-1", "much"])
def test_a_budget_that_is_no_amount_of_memory_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    value: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sweep.yaml").write_text(CONFIG.replace("GIB", value))
    assert cli.main(["plan", "sweep.yaml"]) == 2
    assert "memory_gib" in capsys.readouterr().err
