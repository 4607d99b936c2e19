"""What a measurement was made from: files, schemes, ranges, and in the end the model and the data.

Keys are those of the store; a digest is a SHA-256 in hex.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field, JsonValue

from quantbench.analysis.facts import Facts
from quantbench.core.calibration import Calibration
from quantbench.core.exporters import Export
from quantbench.core.frozen import Frozen
from quantbench.core.plan import Plan, Variant
from quantbench.core.preparation import FloatModel
from quantbench.core.quantization import Float32, Static
from quantbench.core.results import Artifact, Environment, Failed, Spent, Subject, SweepResult
from quantbench.core.steps import calibration_name
from quantbench.data.sampling import sample_indices

NOT_RUN = "it has not been run"
# Of a failure's log: the end, which says what happened.
_LOG_LINES = 12


class Made(Frozen):
    """Something that was made: what it is, what is known of it, and what it was made from."""

    what: str
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    made_from: tuple[Made, ...] = ()


@dataclass(frozen=True)
class Known:
    """A measured sweep, and what its chains are looked up in."""

    result: SweepResult
    plan: Plan
    subject: Subject
    environment: Environment
    facts: Facts

    def key(self, stage: str, name: str) -> str | None:
        """The store's key of what the latest such unit made; None if it was not noted."""
        found = [unit for unit in self._units(stage, name) if unit.keys]
        return found[-1].keys[-1] if found else None

    def keys(self, stage: str, name: str) -> list[str]:
        """All keys of the units of that name, each once."""
        return list(dict.fromkeys(key for unit in self._units(stage, name) for key in unit.keys))

    def _units(self, stage: str, name: str) -> list[Spent]:
        return [unit for unit in self.result.spent if (unit.stage, unit.name) == (stage, name)]


def model(known: Known) -> Made:
    """The model, pinned."""
    subject = known.subject
    return Made(
        what="model",
        facts={
            "name_or_path": subject.model_name_or_path,
            "revision": subject.model_revision,
            "digest": subject.model_digest,
            "architecture": subject.architecture,
            "num_parameters": subject.num_parameters,
        },
    )


def evaluation_data(known: Known) -> Made:
    """The samples that accuracy was measured on."""
    subject, config = known.subject, known.result.config
    return Made(
        what="evaluation data",
        facts={
            **_dataset(known),
            "split": config.dataset.eval_split,
            "fingerprint": subject.eval_fingerprint,
            "num_samples": subject.num_eval_samples,
            "num_rows_of_split": subject.eval_num_rows,
        },
    )


def file_of(known: Known, arm_id: str) -> Made:
    """What an arm computes with: its own file back to the model, or the model in PyTorch."""
    own = known.facts.own(arm_id)
    variant = known.plan.arm(arm_id).variant
    if variant is None:
        return model(known)
    if isinstance(variant.quantization, Float32):
        return _exported(known, variant.export)
    outcome = None if own is None else own.artifact
    made_from = [_source(known, variant.source)]
    scheme = variant.quantization
    if isinstance(scheme, Static):
        made_from.append(_ranges(known, variant.source, scheme.calibration))
    dumped = scheme.model_dump(mode="json", exclude={"calibration"})
    made_from.append(Made(what="quantization scheme", facts=dumped))
    facts: dict[str, JsonValue] = {}
    if isinstance(outcome, Artifact):
        nodes = {name: found for name, found in outcome.nodes.items() if found.total}
        facts = _file(outcome) | {
            "nodes_quantized": {name: found.quantized for name, found in nodes.items()},
            "nodes_in_float": {name: found.left for name, found in nodes.items()},
        }
    return _with_outcome(Made(what="quantized file", facts=facts), outcome, made_from)


def failure(failed: Failed) -> Made:
    """A unit that failed: where, why, what to try, and the end of its log."""
    return Made(
        what=f"failed: {failed.stage}",
        facts={
            "stage": failed.stage,
            "error": failed.error,
            "hint": failed.hint,
            "log": "\n".join(failed.log.strip().splitlines()[-_LOG_LINES:]) or None,
        },
    )


def _exported(known: Known, export: Export) -> Made:
    """The file that was exported, or given, in that way."""
    variant = Variant(export=export, quantization=Float32())
    made = [item.artifact for item in known.result.arms if item.arm.variant == variant]
    outcome = next((item for item in made if item is not None), None)
    facts = _file(outcome) if isinstance(outcome, Artifact) else {}
    if export.exporter is None:
        return _with_outcome(Made(what="given ONNX file", facts=facts), outcome, [model(known)])
    facts = {**facts, "exporter": export.exporter}
    return _with_outcome(Made(what="exported file", facts=facts), outcome, [model(known)])


def _source(known: Known, source: FloatModel) -> Made:
    """A float file that is quantized: exported or given, and prepared if it is to be."""
    exported = _exported(known, source.export)
    if not source.is_prepared:
        return exported
    preparation = source.preparation
    facts: dict[str, JsonValue] = {
        "key": known.key("optimize", source.name),
        **preparation.model_dump(mode="json", exclude={"smoothing"}),
    }
    made_from = [exported]
    if preparation.smoothing is not None:
        facts["smooth_quant_alpha"] = preparation.smoothing.alpha
        made_from.append(_samples(known, preparation.smoothing.num_calibration_samples))
    return Made(what="prepared file", facts=facts, made_from=tuple(made_from))


def _ranges(known: Known, source: FloatModel, calibration: Calibration) -> Made:
    """The activation ranges of that calibration, and the rows that they were found on."""
    data = _samples(known, calibration.num_calibration_samples)
    key = known.key("calibrate", calibration_name(source, calibration))
    return Made(
        what="activation ranges",
        facts={"key": key, **calibration.reads(), "num_samples": data.facts["num_samples"]},
        made_from=(data, _source(known, source)),
    )


def _samples(known: Known, num_samples: int) -> Made:
    """The rows of the calibration split that were run."""
    config, subject = known.result.config, known.subject
    rows = sample_indices(
        subject.calibration_num_rows or 0,
        num_samples,
        config.sampling,
        config.seed,
    )
    return Made(
        what="calibration data",
        facts={
            **_dataset(known),
            "split": config.dataset.calibration_split,
            "fingerprint": subject.calibration_fingerprint,
            "num_samples": len(rows),
            "num_rows_of_split": subject.calibration_num_rows,
            "sampling": config.sampling,
            "seed": config.seed,
            "rows": list(rows),
        },
    )


def _with_outcome(made: Made, outcome: Artifact | Failed | None, made_from: list[Made]) -> Made:
    """A file with its parts; first of them why it is not there, if it is not."""
    if outcome is None:
        made = made.model_copy(update={"facts": {**made.facts, "missing": NOT_RUN}})
    failed = [failure(outcome)] if isinstance(outcome, Failed) else []
    return made.model_copy(update={"made_from": (*failed, *made_from)})


def _file(found: Artifact) -> dict[str, JsonValue]:
    return {
        "key": found.key,
        "sha256": found.sha256,
        "num_bytes": found.num_bytes,
        "opset": found.opset,
        "graph_digest": found.graph_digest,
    }


def _dataset(known: Known) -> dict[str, JsonValue]:
    subject = known.subject
    return {
        "path": subject.dataset_path,
        "name": known.result.config.dataset.name,
        "revision": subject.dataset_revision,
    }
