"""`quantbench time`: ONNX files beside each other, without a dataset."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from quantbench.commands.onnx_files import check_is_file
from quantbench.commands.run import ended_in_order
from quantbench.core.config import MAX_DURATION_S
from quantbench.core.errors import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_SOME_ROWS_FAILED,
    UsageError,
)
from quantbench.core.input_shapes import DeclaredInput, concrete_shapes

if TYPE_CHECKING:
    from quantbench.core.plan import Cell
    from quantbench.core.results import Timing, TimingFailed
    from quantbench.core.timed_files import TimedFiles
    from quantbench.progress import Watcher
    from quantbench.stages.arm_processes import ArmSpec

_TWIN = "twin"
# Of all inputs together: 0.8 GB of token ids. Every process has them.
_MAX_ELEMENTS = 100_000_000


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line; None where nothing was."""

    batch_size: int | None
    input_length: int | None
    shapes: Sequence[str]
    duration_s: float | None
    precision: float | None
    num_threads: int | None
    optimization_level: int
    pytorch: Path | None


@dataclass(frozen=True)
class _Model:
    """A file that is there, and what it takes."""

    path: Path
    inputs: tuple[DeclaredInput, ...]
    num_bytes: int


def time_files(paths: Sequence[Path], options: Options, as_json: bool) -> int:
    """`quantbench time`: the first file is what the others, and the PyTorch model, are over.

    Raises:
        UsageError: a file or an option cannot be; nothing was timed.
    """
    from quantbench.progress import Watcher
    from quantbench.reports.time import print_timed_files
    from quantbench.runtimes.auto_class import auto_class

    _check(options)
    models = [_model(path) for path in paths]
    shapes = _shapes(models, options)
    eager = None if options.pytorch is None else auto_class(options.pytorch)
    try:
        with ended_in_order(), Watcher("time", sys.stderr, quiet=False) as watcher:
            found = _timed(models, shapes, options, eager, watcher)
    except KeyboardInterrupt:
        told = "interrupted before a process set was finished: nothing was measured"
        print(f"quantbench: {told}", file=sys.stderr)
        return EXIT_INTERRUPTED
    if as_json:
        print(json.dumps(found.model_dump(mode="json"), indent=1))
    else:
        print_timed_files(found, sys.stdout)
    if found.interrupted:
        return EXIT_INTERRUPTED
    failed = [file.failure is not None for file in found.files]
    if failed[0]:  # what all others are compared with
        return EXIT_FAILED
    return EXIT_SOME_ROWS_FAILED if any(failed) else EXIT_OK


def _timed(
    models: Sequence[_Model],
    shapes: dict[str, tuple[int, ...]],
    options: Options,
    eager: str | None,
    watcher: Watcher,
) -> TimedFiles:
    import numpy as np

    from quantbench import environment
    from quantbench.analysis.timed_files import Asked, timed_files
    from quantbench.core.config import TimeBenchmarkArgs
    from quantbench.core.steps import Step
    from quantbench.core.threads import too_many_threads
    from quantbench.stages.arm_processes import ArmStarter
    from quantbench.stages.random_inputs import random_inputs
    from quantbench.stages.time import Comparison, machine_lock, time_cell

    cpu = environment.read_cpu()
    threads = options.num_threads or cpu.allowed_cores
    crowded = too_many_threads(threads, cpu)
    if crowded is not None:
        watcher.note(crowded)
    arms = _arms([model.path for model in models], options, eager, threads)
    inputs = random_inputs(models[0].inputs, shapes, np.random.default_rng(0))
    cell = _cell(models[0].inputs[0], shapes)
    asked = {"duration": options.duration_s, "precision": options.precision}
    args = TimeBenchmarkArgs.model_validate({k: v for k, v in asked.items() if v is not None})
    affinity = environment.pinned_cpus(threads)
    step = Step(stage="time", name=cell.id)
    watcher.begin((step,), {step.id: args.duration * len(arms)})
    watcher.step(step.stage, step.name)
    with (
        machine_lock(watcher.progress),
        tempfile.TemporaryDirectory() as scratch,
        contextlib.closing(ArmStarter()) as start,
    ):
        began, interrupted = time.monotonic(), False
        found: dict[str, Timing | TimingFailed] = {}
        try:
            found = time_cell(
                Comparison(cell, arms, arms[0].id),
                inputs,
                args,
                affinity,
                seed=0,
                on_progress=watcher.progress,
                scratch=Path(scratch),
                start=start,
                keep=found.update,
            )
        except KeyboardInterrupt:
            if not found:
                raise
            interrupted = True
        seconds = time.monotonic() - began
    num_bytes = {model.path: model.num_bytes for model in models}
    shown = [arm for arm in arms if arm.id != _TWIN]
    described = Asked(
        names={arm.id: _name(arm) for arm in shown},
        num_bytes={arm.id: num_bytes.get(arm.path) for arm in shown},
        twin_id=_TWIN,
        cell=cell,
        shapes=shapes,
        environment=environment.read_environment(threads),
        optimization_level=options.optimization_level,
        affinity=None if affinity is None else tuple(affinity),
        precision=args.precision,
    )
    return timed_files(described, found, seconds, interrupted=interrupted)


def _arms(
    paths: Sequence[Path], asked: Options, eager: str | None, num_threads: int
) -> tuple[ArmSpec, ...]:
    """The files, a second copy of the first, and the PyTorch model; the first is the reference."""
    from quantbench.protocols import SessionOptions
    from quantbench.stages.arm_processes import ArmSpec

    ids = [f"file-{place}" for place in range(1, len(paths) + 1)]
    options = SessionOptions(num_threads, asked.optimization_level)
    arms = [
        ArmSpec(name, "onnxruntime", path, options, () if name == ids[0] else (ids[0],))
        for name, path in [*zip(ids, paths, strict=True), (_TWIN, paths[0])]
    ]
    if asked.pytorch is not None:
        head = SessionOptions(num_threads=num_threads, auto_class=eager)
        arms.append(ArmSpec("pytorch", "pytorch", asked.pytorch, head, (ids[0],)))
    return tuple(arms)


def _name(arm: ArmSpec) -> str:
    return f"{arm.path} (PyTorch eager)" if arm.framework == "pytorch" else str(arm.path)


def _check(options: Options) -> None:
    """Refuse numbers that cannot be, with what is allowed."""
    from quantbench import environment
    from quantbench.core.threads import more_than_processors

    counts = {
        "--batch-size": options.batch_size,
        "--input-length": options.input_length,
        "--threads": options.num_threads,
    }
    for name, value in counts.items():
        if value is not None and value < 1:
            raise UsageError(f"{name} {value}: must be at least 1")
    threads = options.num_threads
    too_many = None if threads is None else more_than_processors(threads, environment.read_cpu())
    if too_many is not None:
        raise UsageError(f"--threads {threads}: {too_many}")
    if options.duration_s is not None and not 0 < options.duration_s <= MAX_DURATION_S:
        raise UsageError(
            f"--duration {options.duration_s:g}: must be more than 0 and at most {MAX_DURATION_S:,}"
        )
    if options.precision is not None and not 0 < options.precision < 1:
        raise UsageError(f"--precision {options.precision:g}: must be more than 0, less than 1")
    if options.pytorch is not None and not (options.pytorch / "config.json").is_file():
        raise UsageError(
            f"--pytorch {options.pytorch}: has no config.json",
            hint="Give a local folder in transformers layout.",
        )


def _model(path: Path) -> _Model:
    from quantbench.data import onnx_parts
    from quantbench.graph.inputs import declared_inputs

    check_is_file(path)
    model = onnx_parts.load(path)
    num_bytes = onnx_parts.check_files(path, model)
    try:
        return _Model(path, declared_inputs(model), num_bytes)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _shapes(models: Sequence[_Model], options: Options) -> dict[str, tuple[int, ...]]:
    """The shapes of the inputs, which all files must take alike."""
    given = dict(map(_parsed, options.shapes))
    if len(given) < len(options.shapes):
        raise UsageError("--shape: an input is given twice")
    found: list[dict[str, tuple[int, ...]]] = []
    for model in models:
        try:
            found.append(
                concrete_shapes(model.inputs, options.batch_size, options.input_length, given)
            )
        except UsageError as error:
            raise UsageError(f"{model.path}: {error.args[0]}", hint=error.hint) from error
    for model, shapes in zip(models[1:], found[1:], strict=True):
        if shapes != found[0]:
            raise UsageError(
                f"{model.path} takes {_written(shapes)}, but {models[0].path} takes "
                f"{_written(found[0])}",
                hint="Only files that take the same inputs can be compared.",
            )
    elements = sum(math.prod(shape) for shape in found[0].values())
    if elements > _MAX_ELEMENTS:
        raise UsageError(
            f"the inputs have {elements:,} elements ({_written(found[0])}): at most "
            f"{_MAX_ELEMENTS:,} are allowed",
            hint="Ask for a smaller --batch-size, --input-length or --shape.",
        )
    return found[0]


def _parsed(written: str) -> tuple[str, tuple[int, ...]]:
    name, _, sizes = written.rpartition("=")
    try:
        shape = tuple(int(size) for size in sizes.split(","))
    except ValueError:
        shape = ()
    if not name or not shape or min(shape) < 1:
        raise UsageError(
            f"--shape {written}: must be NAME=SIZE,SIZE,... with sizes of at least 1",
            hint="For example --shape pixel_values=1,3,224,224",
        )
    return name, shape


def _written(shapes: dict[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())


def _cell(first: DeclaredInput, shapes: dict[str, tuple[int, ...]]) -> Cell:
    from quantbench.core.plan import Cell

    shape = shapes[first.name] or (1,)
    return Cell(batch_size=shape[0], input_length=shape[1] if first.has_lengths else None)
