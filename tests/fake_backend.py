"""A backend that answers every unit at once with made-up facts, and remembers what was asked."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantbench import environment
from quantbench.backends.local import LocalArgs
from quantbench.core.plan import Arm
from quantbench.core.specs import BackendSpec
from quantbench.core.units import (
    UNIT,
    CalibrateUnit,
    EvaluateUnit,
    ExplainUnit,
    ExportUnit,
    OptimizeUnit,
    PrepareUnit,
    QuantizeUnit,
    TimeUnit,
)
from quantbench.data.stamps import stamp

SAMPLES = 40


class FakeBackend:
    """`fails` names what goes wrong: a stage, or a stage and the start of what it is done to.

    `file` stands for the content of the files: another one gives other digests. `killed` is how
    often the worker of a unit, by stage and name, is killed before it answers. `timed` has the arms
    of each timing session.
    """

    spec = BackendSpec("local", LocalArgs)

    def __init__(
        self, *fails: str, refused: str | None = None, same_graph: bool = False, file: str = "0"
    ) -> None:
        self.fails = fails
        self.refused = refused
        self.same_graph = same_graph
        self.file = file
        self.killed: dict[str, int] = {}
        self.asked: list[tuple[str, str]] = []
        self.timed: list[list[Arm]] = []
        self.closed = False

    @property
    def counts(self) -> Counter[str]:
        """How many units of each stage were asked for."""
        return Counter(stage for stage, _ in self.asked)

    def open(self, args: Mapping[str, Any], store: Path, *, fresh: bool) -> FakeBackend:
        return self

    def close(self) -> None:
        self.closed = True

    def run(self, unit: Mapping[str, Any], on_progress: Any) -> dict[str, Any]:
        return {"result": self._result(unit), "peak_rss_bytes": 2**30}

    def _result(self, unit: Mapping[str, Any]) -> dict[str, Any]:
        parsed = UNIT.validate_json(json.dumps(unit))
        name = _name(parsed)
        self.asked.append((parsed.stage, name))
        if any(f"{parsed.stage} {name}".startswith(failing) for failing in self.fails):
            return {"outcome": "failed", "stage": parsed.stage, "error": "broken on purpose"}
        if self.killed.get(f"{parsed.stage} {name}", 0) > 0:
            self.killed[f"{parsed.stage} {name}"] -= 1
            error = "the worker was killed by SIGKILL"
            return {"outcome": "failed", "stage": parsed.stage, "error": error, "may_pass": True}
        match parsed:
            case PrepareUnit():
                if self.refused is not None:
                    return {"outcome": "refused", "message": self.refused}
                return {
                    "outcome": "completed",
                    "subject": SUBJECT,
                    "notes": ["squad is called rajpurkar/squad today"],
                    "files": [],
                    "stamp": stamp(()),
                    "environment": environment.read_environment(2).model_dump(mode="json"),
                }
            case ExportUnit():
                return _artifact(f"export {parsed.export.name}", parsed.export.opset, self.file)
            case OptimizeUnit():
                found = _artifact(f"prepared {parsed.preparation.name}", 11, self.file)
                return {
                    name: found[name]
                    for name in ("outcome", "key", "num_bytes", "sha256", "seconds")
                } | {"facts": {"num_masks": 1, "largest_difference": 2e-7}}
            case CalibrateUnit():
                return {
                    "outcome": "completed", "key": "r", "num_samples": 1, "num_tensors": 1,
                    "seconds": 1.0,
                }  # fmt: skip
            case QuantizeUnit():
                digest = "all alike" if self.same_graph else parsed.variant.id
                found = _artifact(digest, parsed.variant.export.opset, self.file)
                return found | {"float_key": parsed.float_key}
            case EvaluateUnit():
                return _evaluation(parsed)
            case TimeUnit():
                self.timed.append([item.arm for item in parsed.arms])
                session = f"session {len(self.timed)}"
                return {"outcome": "completed", "timings": _timings(parsed, session)}
            case ExplainUnit():
                return explanation(parsed)


SUBJECT: dict[str, Any] = {
    "model_name_or_path": "m",
    "model_revision": None,
    "model_digest": "0" * 64,
    "model_type": "distilbert",
    "architecture": "DistilBertForQuestionAnswering",
    "num_parameters": 1000,
    "license": None,
    "dataset_path": "d",
    "dataset_revision": None,
    "eval_fingerprint": "1" * 64,
    "eval_num_rows": SAMPLES,
    "num_eval_samples": SAMPLES,
    "calibration_fingerprint": None,
    "calibration_num_rows": None,
}


def _name(unit: Any) -> str:
    match unit:
        case ExportUnit():
            return str(unit.export.opset)
        case QuantizeUnit():
            return unit.variant.id
        case EvaluateUnit():
            return unit.arm.id
        case TimeUnit():
            return unit.cell.id
        case ExplainUnit():
            return unit.arm.id
        case _:
            return ""


def _artifact(digest: str, opset: int, file: str) -> dict[str, Any]:
    return {
        "outcome": "completed",
        "key": hashlib.sha256(digest.encode()).hexdigest()[:32],
        "num_bytes": 1000,
        "sha256": file * 64,
        "graph_digest": digest,
        "opset": opset,
        "seconds": 1.0,
    }


def _evaluation(unit: EvaluateUnit) -> dict[str, Any]:
    right = [1.0] * (SAMPLES - 4) + [0.0] * 4
    return {
        "outcome": "completed",
        "num_samples": SAMPLES,
        "metrics": {"exact_match": 90.0, "f1": 90.0},
        "sample_ids": [str(n) for n in range(SAMPLES)],
        "clusters": None,
        "predictions": [{"answer": "a", "score": 1.0}] * SAMPLES,
        "per_sample": {"exact_match": right, "f1": right},
        "seconds": 1.0,
    }


def explanation(unit: ExplainUnit) -> dict[str, Any]:
    """One quantized node, close to the float model."""
    assert unit.arm.variant is not None
    error = {"signal": 1.0, "noise": 0.001, "num_values": 100}
    activation = {
        "name": "logits", "node": "n", "op_type": "MatMul", "layer": "layer.0", "error": error,
        "rounding": None, "scale": None, "max_abs": 2.0, "p999_abs": 1.0, "median_abs": 0.5,
        "feeds_softmax": False,
    }  # fmt: skip
    node = {
        "name": "n", "op_type": "MatMul", "layer": "layer.0", "quantized": True,
        "excluded_by": [], "patterns": [], "constant_operand": True,
    }  # fmt: skip
    time = {
        "microseconds": 100.0,
        "operators": [{"op_type": "MatMul", "num_nodes": 1, "microseconds": 90.0}],
    }
    return {
        "outcome": "completed",
        "scheme": unit.arm.variant.quantization.model_dump(mode="json"),
        "optimization_level": 99, "opset": 11, "num_samples": unit.num_samples,
        "is_x86": True, "instructions": ["avx2", "avx512_vnni"],
        "outputs": [activation], "activations": [activation],
        "num_missing_activations": 0, "weights": [], "num_missing_weights": 0, "nodes": [node],
        "idle_pairs": [], "executed_nodes": {"MatMul": 1},
        "profile": {
            "cell": unit.cell.model_dump(mode="json"), "num_threads": 2, "num_forwards": 32,
            "num_blocks": 4, "warmup_runs": 5, "reference": time, "row": time,
        },
    }  # fmt: skip


def _timings(unit: TimeUnit, session: str) -> dict[str, Any]:
    def block(number: int, position: int, nanoseconds: int) -> dict[str, Any]:
        return {"round": number, "position": position, "samples_ns": [nanoseconds] * 5}

    found: dict[str, Any] = {}
    for place, arm in enumerate(item.arm for item in unit.arms):
        nanoseconds = 4_000_000 if arm.role == "original" else 1_000_000 + 1000 * place
        positions = [0, 99] if arm.id == unit.reference_id else [place]
        found[arm.id] = {
            "outcome": "completed",
            "cell": unit.cell.model_dump(mode="json"),
            "blocks": [block(n, position, nanoseconds) for n in range(8) for position in positions],
            "session": session,
            "reference_id": unit.reference_id,
            "processes": [
                {"num_threads": 2, "affinity": [0, 1], "peak_rss_bytes": 1, "warmup_runs": 5}
            ],
            "stopped": "precise",
        }  # fmt: skip
    return found
