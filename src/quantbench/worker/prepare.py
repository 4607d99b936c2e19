"""The unit `prepare`: find the model and the data, check that they fit, and pin them."""

from __future__ import annotations

import numpy as np

from quantbench import environment, registry
from quantbench.core.config import SweepConfig
from quantbench.core.errors import ConfigError, Problem
from quantbench.core.results import Subject
from quantbench.core.units import Prepared
from quantbench.tasks.rows import check_references, naming_row
from quantbench.worker.opened import Opened, eval_indices, open_config
from quantbench.worker.reads import num_threads


def prepare(config: SweepConfig) -> Prepared:
    """Find the model and the data, and check that they fit the task and this machine.

    Raises:
        UsageError: something does not fit; the message says what and where.
    """
    cpu = environment.read_cpu()
    if config.num_threads is not None and config.num_threads > cpu.logical_cores:
        message = f"more threads than the {cpu.logical_cores} processors of this machine"
        raise ConfigError("config", [Problem("num_threads", message, str(config.num_threads))])
    wanted = config.backend_args.get("supported_instructions")
    environment.check_instructions(None if wanted is None else str(wanted), cpu.flags)
    opened = open_config(config.model_dump_json())
    source, calibrated = opened.source, opened.calibrated
    subject = Subject(
        model_name_or_path=config.model_name_or_path,
        model_revision=source.revision,
        model_digest=source.digest,
        model_type=source.model_type,
        architecture=source.architecture,
        num_parameters=source.num_parameters,
        license=source.license,
        dataset_path=config.dataset.path,
        dataset_revision=opened.evaluated.revision,
        eval_fingerprint=opened.evaluated.fingerprint,
        eval_num_rows=opened.evaluated.num_rows,
        num_eval_samples=len(eval_indices(config, opened)),
        calibration_fingerprint=None if calibrated is None else calibrated.fingerprint,
        calibration_num_rows=None if calibrated is None else calibrated.num_rows,
    )
    _check_samples(config, opened)
    splits = [opened.evaluated, *([] if calibrated is None else [calibrated])]
    notes = dict.fromkeys([*source.notes, *(note for split in splits for note in split.notes)])
    found = environment.read_environment(num_threads(config))
    return Prepared(subject=subject, environment=found, notes=tuple(notes))


def _check_samples(config: SweepConfig, opened: Opened) -> None:
    """Find out before any work whether samples and shapes fit the model.

    All references are read, one sample is encoded per split, and one input is made per length.

    Raises:
        UsageError: what does not fit, and where.
    """
    task, evaluated = opened.task, opened.evaluated
    indices = eval_indices(config, opened)
    check_references(task, zip(indices, evaluated.without_images(indices), strict=True))
    for split, first in ((evaluated, indices[0]), (opened.calibrated, 0)):
        if split is not None:
            with naming_row(first):
                task.encode(split.row(first))
    if registry.task(config.task).spec.uses_input_length:
        for length in config.input_lengths:
            task.dummy_inputs(1, length, np.random.default_rng(0))
