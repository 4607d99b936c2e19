"""The unit `prepare`: find the model and the data, check that they fit, and pin them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from quantbench import environment, registry
from quantbench.core.config import SweepConfig
from quantbench.core.errors import ConfigError, Problem
from quantbench.core.results import Subject
from quantbench.core.threads import more_than_processors, too_many_threads
from quantbench.core.units import Prepared
from quantbench.data.rows import Split
from quantbench.data.shared_rows import shared_rows
from quantbench.tasks.rows import check_one_type_per_column, check_references, naming_row
from quantbench.worker.given_file import check_given_file
from quantbench.worker.keys import calibration_rows, evaluated_rows
from quantbench.worker.opened import Opened, check_unchanged, open_config
from quantbench.worker.sessions import num_threads


def prepare(config: SweepConfig) -> Prepared:
    """Find the model and the data, and check that they fit the task and this machine.

    Raises:
        UsageError: something does not fit; the message says what and where.
    """
    cpu = environment.read_cpu()
    too_many = more_than_processors(num_threads(config), cpu)
    if too_many is not None:
        raise ConfigError("config", [Problem("num_threads", too_many, str(config.num_threads))])
    wanted = config.backend_args.get("supported_instructions")
    environment.check_instructions(None if wanted is None else str(wanted), cpu.flags)
    opened = open_config(config.model_dump_json())
    check_given_file(config, opened)
    _check_samples(config, opened)
    source, calibrated = opened.source, opened.calibrated
    subject = Subject(
        model_name_or_path=config.model_name_or_path,
        model_id=None if source.revision is None else source.repository,
        model_revision=source.revision,
        model_digest=source.digest,
        model_type=source.model_type,
        architecture=source.architecture,
        num_parameters=source.num_parameters,
        license=source.license,
        dataset_path=config.dataset.path,
        dataset_id=opened.evaluated.location if opened.evaluated.revision else None,
        dataset_revision=opened.evaluated.revision,
        eval_fingerprint=opened.evaluated.fingerprint,
        eval_num_rows=opened.evaluated.num_rows,
        num_eval_samples=len(evaluated_rows(config, opened.evaluated.num_rows)),
        calibration_fingerprint=None if calibrated is None else calibrated.fingerprint,
        calibration_num_rows=None if calibrated is None else calibrated.num_rows,
        num_shared_samples=_check_shared(config, opened),
        notes=opened.task.notes,
    )
    splits = [opened.evaluated, *([] if calibrated is None else [calibrated])]
    of_splits = (note for split in splits for note in split.notes)
    crowded = too_many_threads(num_threads(config), cpu)
    of_machine = [] if crowded is None else [crowded]
    notes = dict.fromkeys([*source.notes, *of_splits, *opened.task.notes, *of_machine])
    found = environment.read_environment(num_threads(config))
    check_unchanged(opened)
    return Prepared(
        subject=subject,
        environment=found,
        notes=tuple(notes),
        files=opened.files,
        stamp=opened.stamp,
    )


def _check_samples(config: SweepConfig, opened: Opened) -> None:
    """Find out before any work whether samples and shapes fit the model.

    The columns of all samples that are used are looked at and all references are read, the first
    sample of each choice is encoded, and one input is made per length.

    Raises:
        UsageError: what does not fit, and where.
    """
    task, evaluated = opened.task, opened.evaluated
    indices = evaluated_rows(config, opened.evaluated.num_rows)
    dataset = config.dataset
    inputs = {f"dataset.data_keys.{key}": column for key, column in dataset.data_keys.items()}
    references = {f"dataset.ref_keys[{n}]": column for n, column in enumerate(dataset.ref_keys)}
    if dataset.cluster_key is not None:
        references["dataset.cluster_key"] = dataset.cluster_key
    _check_columns(evaluated, inputs | references, indices, f"split {dataset.eval_split}")
    firsts = [(evaluated, indices[0])]
    if opened.calibrated is not None:
        calibrated = opened.calibrated
        for count in _calibration_counts(config):
            _check_enough(calibrated.num_rows, count, config)
            used = calibration_rows(config, calibrated.num_rows, count)
            _check_columns(calibrated, inputs, used, f"split {dataset.calibration_split}")
            firsts.append((calibrated, used[0]))
    check_references(task, zip(indices, evaluated.without_images(indices), strict=True))
    for split, first in firsts:
        with naming_row(first):
            task.encode(split.row(first))
    if registry.task(config.task).spec.uses_input_length:
        for length in config.input_lengths:
            task.dummy_inputs(1, length, np.random.default_rng(0))


def _check_shared(config: SweepConfig, opened: Opened) -> int | None:
    """The number of evaluated samples that are calibrated on too; None without calibration.

    Raises:
        ConfigError: there are some, and the config does not allow it.
    """
    evaluated, calibrated = opened.evaluated, opened.calibrated
    if calibrated is None:
        return None
    choices = (
        calibration_rows(config, calibrated.num_rows, count)
        for count in _calibration_counts(config)
    )
    used = sorted({index for choice in choices for index in choice})
    columns = sorted(set(config.dataset.data_keys.values()))
    indices = evaluated_rows(config, evaluated.num_rows)
    shared = shared_rows(evaluated.rows, indices, calibrated.rows, used, columns)
    if shared and not config.dataset.allow_shared_samples:
        first, same = shared[0]
        message = (
            f"{len(shared):,} of the {len(indices):,} samples that are evaluated are calibrated on "
            f"too, so accuracy would flatter: the first is row {first} of "
            f"{config.dataset.eval_split}, which is row {same} of "
            f"{config.dataset.calibration_split}. Name another calibration_split, or set "
            "dataset.allow_shared_samples: true"
        )
        raise ConfigError("config", [Problem("dataset.calibration_split", message)])
    return len(shared)


def _check_enough(num_rows: int, num_samples: int, config: SweepConfig) -> None:
    """Refuse to calibrate on fewer samples than the config, and so the card, says.

    Raises:
        ConfigError: the split is too small; both numbers.
    """
    if num_samples <= num_rows:
        return
    message = (
        f"the split {config.dataset.calibration_split} has {num_rows:,} rows: "
        "ask for as many or fewer, or name a larger dataset.calibration_split"
    )
    name = "calibration.num_calibration_samples"
    problem = Problem(name, message, f"{num_samples:,}", f"1 to {num_rows:,}")
    raise ConfigError("config", [problem])


def _calibration_counts(config: SweepConfig) -> list[int]:
    """The numbers of samples to calibrate on that the config asks for."""
    name = "calibration.num_calibration_samples"
    counts = config.benchmarked.get(name, (config.calibration.num_calibration_samples,))
    return [int(str(count)) for count in counts]


def _check_columns(
    split: Split, columns: Mapping[str, str], indices: Sequence[int], name: str
) -> None:
    """Refuse rows with a missing value, or one of another type than the rows before.

    Raises:
        ConfigError: there are some; the first of each column, and how many there are.
    """
    problems: list[Problem] = []
    for parameter, column in columns.items():
        empty = split.empty_rows(column, indices)
        if empty:
            message = (
                f"the column {column} is empty in {len(empty)} of the {len(indices)} rows that "
                f"are used, first in row {empty[0]} (the first row is 0): fill them in, or leave "
                "the rows out"
            )
            problems.append(Problem(parameter, message))
    if problems:
        raise ConfigError(name, problems)
    check_one_type_per_column(columns, zip(indices, split.without_images(indices), strict=True))
