"""The command line teaches, and its errors say what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import JsonValue

from quantbench import cli, environment, registry
from quantbench.backends.local import LocalArgs
from quantbench.core.specs import BackendSpec
from quantbench.protocols import OnProgress
from quantbench.worker.answer import answer

SEED = Path(__file__).parents[2] / "src" / "quantbench" / "demo" / "demo-questions.yaml"
DYNAMIC = SEED.parent / "demo-digits.yaml"


def test_help_names_every_command_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for command in ("run", "plan", "schema", "demo", "card", "report"):
        assert f"    {command} " in text
    assert "examples:" in text


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out.startswith("quantbench ")


def test_an_unknown_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["rum"])
    assert ended.value.code == 2


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_config_that_is_not_there_is_one_line(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([command, "nowhere.yaml"]) == 2
    assert capsys.readouterr().err == (
        "quantbench: cannot read nowhere.yaml: No such file or directory\n"
    )


def test_a_bad_config_tells_all_its_errors_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("task: question-answering\nmodel: x\nbatch_sizes: []\n")
    assert cli.main(["run", str(path), "--out", str(tmp_path / "out")]) == 2
    text = capsys.readouterr().err
    assert "bad.yaml: 4 problems" in text
    for path_in_file in ("model\n", "batch_sizes = []", "model_name_or_path\n", "dataset\n"):
        assert path_in_file in text
    assert "Traceback" not in text
    assert not (tmp_path / "out").exists()


def test_plan_shows_rows_what_is_inert_or_the_same_and_the_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert cli.main(["plan", str(SEED)]) == 0
    text = capsys.readouterr().out
    assert "8 rows" in text
    assert "= ONNX Runtime fp32" in text
    assert "= row 1" in text
    assert "dynamic quantization has no integer form of Add; rows 1, 2, 3, 4" in text
    assert "evaluate" in text


def test_plan_as_json_has_the_same_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", str(SEED), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 8


def with_flags(monkeypatch: pytest.MonkeyPatch, *flags: str) -> None:
    cpu = environment.read_cpu().model_copy(update={"flags": flags})
    monkeypatch.setattr(environment, "read_cpu", lambda: cpu)


def test_plan_warns_of_rows_that_can_saturate_on_this_processor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    with_flags(monkeypatch, "avx2", "avx512f")
    assert cli.main(["plan", str(DYNAMIC)]) == 0
    assert "avoids it; rows 1, 2, 3, 4\n" in capsys.readouterr().out
    with_flags(monkeypatch, "avx2", "avx_vnni")
    assert cli.main(["plan", str(DYNAMIC)]) == 0
    assert "saturate" not in capsys.readouterr().out


def test_plan_refuses_instructions_that_this_machine_lacks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_flags(monkeypatch, "avx2", "avx_vnni")
    path = tmp_path / "sweep.yaml"
    asked = "backend_args: {supported_instructions: avx512_vnni}\nbenchmarked:"
    path.write_text(DYNAMIC.read_text().replace("benchmarked:", asked))
    assert cli.main(["plan", str(path)]) == 2
    assert "no avx512_vnni; it has avx2, avx_vnni" in capsys.readouterr().err


class Here:
    """The work of the local backend, done in this process; `asked` are the stages."""

    spec = BackendSpec("local", LocalArgs)

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.store = Path()

    def open(self, args: Mapping[str, JsonValue], store: Path, *, fresh: bool) -> Here:
        self.store = store
        return self

    def run(self, unit: Mapping[str, JsonValue], on_progress: OnProgress) -> dict[str, JsonValue]:
        self.asked.append(str(unit["stage"]))
        return answer({"unit": unit, "store": str(self.store), "fresh": False}, lambda _: None)

    def close(self) -> None:
        pass


def test_run_refuses_instructions_that_this_machine_lacks_before_any_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    backend, path, out = Here(), tmp_path / "sweep.yaml", tmp_path / "run"
    monkeypatch.setattr(registry, "backend", lambda _: backend)
    monkeypatch.setenv("QUANTBENCH_STORE", str(tmp_path / "store"))
    with_flags(monkeypatch, "avx2", "avx_vnni")
    asked = "backend_args: {supported_instructions: avx512_vnni}\nbenchmarked:"
    path.write_text(DYNAMIC.read_text().replace("benchmarked:", asked))
    assert cli.main(["run", str(path), "--out", str(out), "--quiet"]) == 2
    said = capsys.readouterr().err
    assert "supported_instructions asks for avx512_vnni" in said
    assert "no avx512_vnni; it has avx2, avx_vnni" in said
    assert "set supported_instructions: null" in said
    assert backend.asked == ["prepare"]
    assert not out.exists()


def test_schema_prints_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema"]) == 0
    assert "benchmarked" in json.loads(capsys.readouterr().out)["properties"]


@pytest.mark.parametrize("arguments", [["--help"], ["plan", str(SEED)], ["schema"]])
def test_no_model_library_is_loaded_for(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from quantbench.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'onnx', 'onnxruntime', 'datasets', 'altair', 'scipy'}\n"
        "print('loaded', sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "loaded []" in result.stderr
