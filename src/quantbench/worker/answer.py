"""Doing one unit of work: which function does it, and what becomes of an error."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from quantbench.child import Message
from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.core.frozen import Frozen
from quantbench.core.results import Failed
from quantbench.core.units import (
    UNIT,
    CalibrateUnit,
    EvaluateUnit,
    ExplainUnit,
    ExportUnit,
    OptimizeUnit,
    PrepareUnit,
    QuantizeUnit,
    Refused,
    TimeUnit,
)
from quantbench.memory import peak_rss_bytes
from quantbench.protocols import Progress
from quantbench.worker.access import Access
from quantbench.worker.explain import explain
from quantbench.worker.files import calibrate, export, optimize, quantize
from quantbench.worker.measure import evaluate_arm, time_arms
from quantbench.worker.prepare import prepare


def answer(message: Message, send: Callable[[Message], None]) -> Message:
    """Do one unit of work. Every failure becomes a `Failed` record: a row, not an end."""

    def on_progress(progress: Progress) -> None:
        send({"progress": {"done": progress.done, "total": progress.total, "text": progress.text}})

    stage = str(message["unit"].get("stage"))
    result: Frozen
    try:
        access = Access(Path(message["store"]), message["fresh"], on_progress)
        result = run_unit(message["unit"], access)
    except UsageError as error:
        result = Refused(message=str(error))
    except QuantbenchError as error:
        result = Failed(stage=stage, error=str(error.args[0]), hint=error.hint)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        result = Failed(stage=stage, error=text, log=traceback.format_exc()[-4000:])
    if isinstance(result, Refused) and stage != "prepare":
        result = Failed(stage=stage, error=result.message)
    return {
        "result": result.model_dump(mode="json"),
        "peak_rss_bytes": peak_rss_bytes(),
    }


def run_unit(data: Mapping[str, Any], access: Access) -> Frozen:
    """Do one unit of work.

    Args:
        data: a unit of `quantbench.core.units` as JSON data.
        access: the artifact store, and who is told how far the unit is.
    """
    unit = UNIT.validate_json(json.dumps(data))
    match unit:
        case PrepareUnit():
            return prepare(unit.config)
        case ExportUnit():
            return export(unit, access)
        case OptimizeUnit():
            return optimize(unit, access)
        case CalibrateUnit():
            return calibrate(unit, access)
        case QuantizeUnit():
            return quantize(unit, access)
        case EvaluateUnit():
            return evaluate_arm(unit, access)
        case TimeUnit():
            return time_arms(unit, access)
        case ExplainUnit():
            return explain(unit, access)
