"""The metadata at the top of a card, as the hub reads it."""

from __future__ import annotations

import re
from typing import Any

import yaml

from quantbench.analysis.front_matter import split_front_matter
from quantbench.analysis.recommend import Recommendation
from quantbench.core.hub_names import LICENSES, is_hub_id
from quantbench.core.results import SweepResult
from quantbench.core.summary import ArmSummary, RowSummary, SweepSummary
from quantbench.reports.wording import model_title

# The name that the hub knows each framework's files by.
LIBRARIES = {"onnxruntime": "onnx"}


def front_matter(result: SweepResult, summary: SweepSummary, recommendation: Recommendation) -> str:
    """YAML between two lines of `---`.

    `base_model` and `datasets` are left out for what is not on the hub (a local directory, a
    bundled model). `model-index` holds the metrics of the recommended configuration, in the
    unit of the official script.
    """
    config = result.config
    model_type = result.subject.model_type if result.subject else result.model_type
    data: dict[str, Any] = {"pipeline_tag": config.task}
    # What comes from the hub always has a commit; an imported card names nothing else.
    subject, imported = result.subject, bool(result.published)
    if imported or (subject and subject.dataset_revision):
        data["datasets"] = [(subject and subject.dataset_id) or config.dataset.path]
    data["metrics"] = list(summary.metric_names)
    data["tags"] = [tag for tag in (model_type, "quantized", "onnx") if tag]
    if imported or (subject and subject.model_revision):
        data["base_model"] = (subject and subject.model_id) or config.model_name_or_path
        data["base_model_relation"] = "quantized"
    data["library_name"] = LIBRARIES.get(config.framework, config.framework)
    if subject and subject.license:
        data |= _license(subject.license)
    arm, name = _recommended(summary, recommendation)
    if arm is not None and arm.metrics:
        data["model-index"] = [_index(result, arm, name)]
    return _written(data)


def card_of_row(card: str, result: SweepResult, row: RowSummary) -> str:
    """The card of a run, whose metadata tell of one row's model instead of the recommended one.

    What else the front matter has is kept, such as a license that was added by hand.

    Args:
        card: the text of the card.
        result: the facts of the run.
        row: whose metrics go into `model-index`; without any, there is none.

    Raises:
        QuantbenchError: the card has no front matter.
    """
    data, rest = split_front_matter(card)
    data.pop("model-index", None)
    if row.arm is not None and row.arm.metrics:
        data["model-index"] = [_index(result, row.arm, f"row {row.number}")]
    return f"{_written(data)}\n{rest}"


def _written(data: dict[str, Any]) -> str:
    dumped = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{dumped}---"


def _license(name: str) -> dict[str, str]:
    """The license as the hub takes it: one of its own list, or `other` with the name beside it."""
    written = name.strip().lower()
    if written in LICENSES - {"other"}:
        return {"license": written}
    if written == "other":  # the base model's card has its name; the run has not
        return {"license": "other", "license_name": "see-the-base-model"}
    return {"license": "other", "license_name": _slug(written)}


def _slug(text: str) -> str:
    """The text as a name on the hub could be: `bundled:questions` becomes `bundled-questions`."""
    words = re.findall(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*", text)
    return "-".join(words)[:96].strip("-.") or "unnamed"


def _recommended(
    summary: SweepSummary, recommendation: Recommendation
) -> tuple[ArmSummary | None, str]:
    if recommendation.choice == "row":
        row = next(row for row in summary.rows if row.number == recommendation.row)
        return row.arm, f"row {row.number}"
    if recommendation.choice == "reference":
        return summary.reference(recommendation.reference_id), "ONNX Runtime fp32"
    return None, ""


def _index(result: SweepResult, arm: ArmSummary, name: str) -> dict[str, Any]:
    dataset = result.config.dataset
    name_today = (result.subject and result.subject.dataset_id) or dataset.path
    # The hub refuses a type that is no name on it, such as a path.
    kind = name_today if is_hub_id(name_today) else _slug(name_today)
    described: dict[str, Any] = {"name": name_today, "type": kind}
    if dataset.name:
        described["config"] = dataset.name
    described["split"] = dataset.eval_split
    revision = dataset.revision or (result.subject.dataset_revision if result.subject else None)
    if revision:
        described["revision"] = revision
    return {
        "name": model_title(result.config.model_name_or_path),
        "results": [
            {
                "task": {"type": result.config.task},
                "dataset": described,
                "metrics": [
                    {
                        "type": metric.name,
                        "value": round(metric.optimized, 6),
                        "name": f"{metric.name} ({name}, {metric.num_samples} samples)",
                    }
                    for metric in arm.metrics
                ],
            }
        ],
    }
