"""The metadata at the top of a card, as the hub reads it."""

from __future__ import annotations

from typing import Any

import yaml

from quantbench.analysis.recommend import Recommendation
from quantbench.core.results import SweepResult
from quantbench.core.summary import ArmSummary, SweepSummary
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
        data["license"] = subject.license
    arm, name = _recommended(summary, recommendation)
    if arm is not None and arm.metrics:
        data["model-index"] = [_index(result, arm, name)]
    dumped = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{dumped}---"


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
    described: dict[str, Any] = {"name": name_today, "type": name_today}
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
