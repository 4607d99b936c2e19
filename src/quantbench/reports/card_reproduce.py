"""The end of a card: the machine, the versions, and how to get the same numbers again."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from quantbench.analysis.quiet import DISTURBED_LIMIT, DISTURBED_ROUND, OTHERS_LIMIT
from quantbench.core.config import SweepConfig
from quantbench.core.results import Environment, Subject, SweepResult
from quantbench.core.steps import evaluation_threads
from quantbench.core.summary import Load, SweepSummary
from quantbench.reports.markdown import code, details, fence, table, text
from quantbench.reports.wording import NOTHING, number, plural, sentence, share

# The processor flags that decide which integer kernels run.
_TELLING_FLAGS = (
    "avx2",
    "avx512f",
    "avx_vnni",
    "avx512_vnni",
    "amx_tile",
    "amx_int8",
    "asimddp",
    "i8mm",
)


def environment(result: SweepResult, summary: SweepSummary) -> str:
    """Processor, memory, versions, the digests of model and data, and how quiet it was."""
    lines: list[str] = []
    if result.environment is None:
        lines.append("* The environment was not recorded.")
    else:
        lines += _machine(result.environment)
    if result.subject is not None:
        lines += _subject(result.subject)
    blocks = ["\n".join(lines)]
    if result.environment is not None and result.environment.cpu.flags:
        flags = text(" ".join(result.environment.cpu.flags))
        blocks.append(details("All processor flags", flags))
    if summary.loads:
        blocks.append(_quiet(summary.loads))
    return "\n\n".join(blocks)


def _quiet(loads: Sequence[Load]) -> str:
    """What disturbed the timing of each shape."""
    head = [
        "shape",
        "others",
        "steal",
        "disturbed rounds",
        "lost its processor, per forward",
        "MHz",
        "throttled: heat, quota",
        "quiet",
    ]
    body = [
        [
            item.cell.name,
            *map(share, (item.others, item.stolen, item.disturbed_rounds)),
            number(item.switches_per_forward),
            _frequencies(item),
            f"{_count(item.thermal_throttles)}, {_count(item.quota_throttles)}",
            {True: "yes", False: "**no**", None: "not known"}[item.quiet],
        ]
        for item in loads
    ]
    return (
        "How quiet the machine was while each shape was timed: the shares of the time of the "
        "processors in use that other processes and the hypervisor took, and of rounds in which "
        f"they took more than {DISTURBED_ROUND:.0%}. Quiet is at most {OTHERS_LIMIT:.0%} for "
        f"others, at most {DISTURBED_LIMIT:.0%} of the rounds, and no throttling.\n\n"
        + table(head, body)
    )


def _frequencies(item: Load) -> str:
    if item.lowest_mhz is None or item.highest_mhz is None:
        return NOTHING
    return f"{number(item.lowest_mhz, 0)} to {number(item.highest_mhz, 0)}"


def _count(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"


def cost(result: SweepResult, summary: SweepSummary) -> str:
    """Where the time went, by stage, and the largest memory of any process."""
    done = [unit for unit in result.spent if not unit.reused]
    total = sum(unit.seconds for unit in done)
    rows: list[list[str]] = []
    for stage in dict.fromkeys(unit.stage for unit in result.spent):
        here = [unit for unit in done if unit.stage == stage]
        seconds = sum(unit.seconds for unit in here)
        expected = [unit.expected_seconds for unit in here if unit.expected_seconds is not None]
        reused = sum(unit.stage == stage for unit in result.spent) - len(here)
        rows.append(
            [
                stage,
                f"{len(here):,}",
                f"{reused:,}",
                number(seconds, 0),
                f"{seconds / total:.0%}" if total else NOTHING,
                number(sum(expected), 0) if expected else NOTHING,
            ]
        )
    processes = [unit.peak_rss_bytes for unit in result.spent]
    arms = (summary.original, *summary.references, *(row.arm for row in summary.rows))
    processes += [cell.peak_rss_bytes for arm in arms if arm is not None for cell in arm.cells]
    peak = max((item for item in processes if item is not None), default=None)
    lines = [
        f"The units of work took {number(total / 60, 1)} minutes. What the store had from earlier "
        "runs was not done again.",
        table(["stage", "done", "from the store", "seconds", "share", "expected, s"], rows),
    ]
    if peak is not None:
        lines.append(f"The largest process had {number(peak / 2**30, 1)} GiB of resident memory.")
    return "\n\n".join(lines)


def reproduce(config: SweepConfig, *, imported: bool) -> str:
    """The exact config, and the command; of an imported card, its header as a config."""
    data = config.model_dump(mode="json", exclude_unset=True)
    dumped = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
    if imported:
        head = "The card's header as a config; its backend is the one of the system that wrote it:"
        return f"{head}\n\n{fence(dumped, 'yaml')}"
    return "\n\n".join(
        [
            "Save as `config.yaml`:",
            fence(dumped, "yaml"),
            fence("quantbench run config.yaml", "sh"),
        ]
    )


def _machine(found: Environment) -> list[str]:
    cpu = found.cpu
    telling = [flag for flag in _TELLING_FLAGS if flag in cpu.flags]
    cores = f"{plural(cpu.physical_cores, 'physical core')}, {cpu.logical_cores:,} logical"
    lines = [
        f"* **Processor**: {text(cpu.model)} ({text(cpu.architecture)}), {cores}, "
        f"{cpu.allowed_cores:,} allowed",
        f"* **Integer instructions**: {', '.join(map(code, telling)) or 'none known'}",
        f"* **Threads** of every runtime: {found.num_threads:,} while it is timed, "
        f"{evaluation_threads(found.num_threads, cpu.allowed_cores):,} while it is evaluated",
    ]
    if found.memory_bytes is not None:
        lines.append(f"* **Memory**: {found.memory_bytes / 2**30:.1f} GiB")
    versions = ", ".join(f"{text(name)} {text(v)}" for name, v in found.packages.items())
    return [
        *lines,
        f"* **System**: {text(found.operating_system)}, Python {text(found.python)}",
        f"* **Versions**: {versions}",
        f"* **Measured**: {text(found.measured_at)}",
    ]


def _subject(found: Subject) -> list[str]:
    lines = [
        f"* **Model**: {text(found.architecture)}, {found.num_parameters:,} parameters"
        + _today(found.model_id, found.model_name_or_path)
        + (f", revision {code(found.model_revision)}" if found.model_revision else "")
        + f", digest {code(found.model_digest)}",
        f"* **Evaluation data**: {found.num_eval_samples:,} of {found.eval_num_rows:,} samples"
        + _today(found.dataset_id, found.dataset_path)
        + (f", revision {code(found.dataset_revision)}" if found.dataset_revision else "")
        + f", fingerprint {code(found.eval_fingerprint)}",
    ]
    if found.calibration_fingerprint is not None and found.calibration_num_rows is not None:
        lines.append(
            f"* **Calibration data**: a split of {found.calibration_num_rows:,} samples, "
            f"fingerprint {code(found.calibration_fingerprint)}{_shared(found)}"
        )
    return [*lines, *(f"* **Note**: {sentence(text(note))}" for note in found.notes)]


def _shared(found: Subject) -> str:
    """How many samples are both calibrated on and evaluated, where that was looked for."""
    match found.num_shared_samples:
        case None:
            return ""
        case 0:
            return "; none of what is calibrated on is evaluated (compared by content)"
        case count:
            return f"; **{count:,} of the evaluated samples are calibrated on too** (by content)"


def _today(name: str | None, given: str) -> str:
    """What something is called on the hub today, if the config has an older name of it."""
    moved = name is not None and not f"{given}/".startswith(f"{name}/")
    return f", today called {code(name)}" if name is not None and moved else ""
