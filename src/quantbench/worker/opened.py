"""The model, the data and the task of a config, found and loaded once per process."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from quantbench import registry
from quantbench.core.config import SweepConfig
from quantbench.core.errors import QuantbenchError
from quantbench.core.results import Subject
from quantbench.data.models import ModelSource, check_architecture, resolve_model
from quantbench.data.rows import Split, load_split
from quantbench.data.stamps import local_files, stamp
from quantbench.protocols import TaskRun


@dataclass(frozen=True)
class Opened:
    """The model, data and task of a config, found and loaded.

    `files` are patterns of the local files behind them, `stamp` what `data.stamps.stamp` gave for
    them before the data were read.
    """

    source: ModelSource
    task: TaskRun
    evaluated: Split
    calibrated: Split | None
    files: tuple[str, ...]
    stamp: str


@functools.lru_cache(maxsize=1)
def open_config(config_json: str) -> Opened:
    """Find and load the model, data and task of a config, and check that they fit.

    Raises:
        UsageError: the model, a split, a column or a label does not fit; all that is wrong.
    """
    config = SweepConfig.model_validate_json(config_json)
    task = registry.task(config.task)
    source = resolve_model(config.model_name_or_path, config.model_revision)
    check_architecture(source, task.spec)
    dataset = config.dataset
    files = local_files(source, dataset)
    before = stamp(files)
    evaluated = load_split(dataset, dataset.eval_split, "dataset.eval_split")
    calibrated = None
    if dataset.calibration_split is not None and config.is_calibrated():
        calibrated = load_split(dataset, dataset.calibration_split, "dataset.calibration_split")
    run = task.open(
        source.directory,
        config.task_args,
        dataset.data_keys,
        dataset.ref_keys,
        evaluated.label_names(dataset.ref_keys[0]),
        None if source.onnx is None else source.onnx.input_names,
    )
    return Opened(source, run, evaluated, calibrated, files, before)


def opened_as_pinned(config: SweepConfig, subject: Subject) -> Opened:
    """What the config names, which must still be what was pinned when the run began.

    Files that were written since they were last looked at are looked at again.

    Raises:
        QuantbenchError: the model or the data are not those of the run.
    """
    opened = open_config(config.model_dump_json())
    if stamp(opened.files) != opened.stamp:
        open_config.cache_clear()
        opened = open_config(config.model_dump_json())
    for what, found, pinned in (
        ("model", opened.source.digest, subject.model_digest),
        ("evaluation data", opened.evaluated.fingerprint, subject.eval_fingerprint),
        (
            "calibration data",
            None if opened.calibrated is None else opened.calibrated.fingerprint,
            subject.calibration_fingerprint,
        ),
    ):
        if found != pinned:
            raise QuantbenchError(
                f"the {what} changed since the run began ({str(pinned)[:12]} → {str(found)[:12]})",
                hint="Start again in a new run folder.",
            )
    return opened


def check_unchanged(opened: Opened) -> None:
    """Refuse what was made from the files of a model and data that changed meanwhile.

    Called when a stage has read them, before what it made is kept: its key names the old digests.

    Raises:
        QuantbenchError: a file was written, added or removed since they were opened.
    """
    if stamp(opened.files) != opened.stamp:
        raise QuantbenchError(
            "files of the model or the data changed while they were read: what was made from them "
            "is not kept",
            hint="Restore them and run the same command again, or start in a new run folder.",
        )
