"""The unit `explain`: compare a quantized file with the float file that it was made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from quantbench import environment, store
from quantbench.core.errors import QuantbenchError
from quantbench.core.explanation import Explanation
from quantbench.core.instructions import instruction_sets
from quantbench.core.plan import DEFAULT_LEVEL
from quantbench.core.units import ExplainUnit
from quantbench.protocols import Inputs, Progress
from quantbench.tasks.rows import naming_row
from quantbench.worker.access import Access
from quantbench.worker.keys import explain_key, explained_rows
from quantbench.worker.opened import check_unchanged, opened_as_pinned

_X86 = frozenset({"x86_64", "amd64"})


def explain(unit: ExplainUnit, access: Access) -> Explanation:
    """Find where error and time of a file come from, or find it in the store.

    Raises:
        QuantbenchError: a file is gone from the store, or cannot be run, or the data changed.
        ConfigError: a row cannot be encoded.
    """
    from quantbench.stages.explain import Files, explain_file

    variant = unit.arm.variant
    if variant is None:
        raise QuantbenchError(f"{unit.arm.id} has no file that could be explained")
    config, opened = unit.config, opened_as_pinned(unit.config, unit.subject)
    cpu = environment.read_cpu()

    def build(_: Path) -> store.Facts:
        samples: list[Inputs] = []
        for index in explained_rows(unit):
            with naming_row(index):
                samples += [part.inputs for part in opened.task.encode(opened.evaluated.row(index))]
        rng = np.random.default_rng(config.seed)
        level = unit.arm.optimization_level
        facts = explain_file(
            Files(
                exact=access.file(unit.float_key),
                quantized=access.file(unit.artifact_key),
                scheme=variant.quantization,
                optimization_level=DEFAULT_LEVEL if level is None else level,
                num_threads=unit.num_threads,
            ),
            samples,
            unit.cell,
            opened.task.dummy_inputs(unit.cell.batch_size, unit.cell.input_length, rng),
            is_x86=cpu.architecture.lower() in _X86,
            instructions=instruction_sets(cpu.flags),
            on_sample=lambda done: access.on_progress(
                Progress(done, len(samples), f"input {done} of {len(samples)}")
            ),
        )
        check_unchanged(opened)
        return facts.model_dump(mode="json")

    return Explanation.model_validate(access.make(explain_key(unit), unit.stage, build))
