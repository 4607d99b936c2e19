"""The first config for a model and, if given, a dataset. Pure: facts in, entries out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydantic import JsonValue

from quantbench.core.config import FrameworkArgs, TimeBenchmarkArgs
from quantbench.core.errors import ConfigError, UsageError
from quantbench.core.specs import TaskSpec
from quantbench.data.describe import DatasetFacts, SplitFacts
from quantbench.data.models import ModelSource, check_architecture
from quantbench.starter import columns
from quantbench.starter.classes import match_classes, model_classes
from quantbench.starter.columns import (
    OTHER_REFERENCES,
    WANTED,
    Found,
    Wanted,
    find_columns,
    find_second_text,
)
from quantbench.starter.entries import Entry, guessed, to_fill_in
from quantbench.tasks.tokenizer import max_tokens

REFERENCES = "references"
_BATCH_SIZES = (1, 8)
_INPUT_LENGTHS = (32, 128)
_MAX_EVAL_SAMPLES = 1000


def guess_task(model: ModelSource, tasks: Mapping[str, TaskSpec]) -> TaskSpec:
    """The task that the model has the head for.

    Raises:
        UsageError: there is none; the message names the architecture and the tasks.
    """
    for task in tasks.values():
        try:
            check_architecture(model, task)
        except ConfigError:
            continue
        return task
    known = ", ".join(f"{task.name} (…{task.architecture_suffix})" for task in tasks.values())
    raise UsageError(
        f"{model.name} is a {model.architecture} (config.json): no task takes such a model",
        hint=f"Tasks, with the architectures that they take: {known}.",
    )


def guess_config(
    model: ModelSource,
    tokenizer_limit: int | None,
    data: DatasetFacts | None,
    tasks: Mapping[str, TaskSpec],
) -> tuple[Entry, ...]:
    """Every parameter that a person would want to see, with the reason for its value.

    Args:
        model: the model, found.
        tokenizer_limit: tokens that its tokenizer is set to, None if it says nothing.
        data: what the dataset holds; None if no dataset was named.
        tasks: those that exist, by name.

    Raises:
        UsageError: no task takes the model.
    """
    task = guess_task(model, tasks)
    limit = max_tokens(
        model.model_type,
        model.config.get("max_position_embeddings"),
        model.config.get("pad_token_id"),
        tokenizer_limit,
    )
    evaluated = None if data is None else columns.find_eval_split(data.splits)
    calibrated = None if data is None else columns.find_calibration_split(data.splits, evaluated)
    task_args = _task_args(task, model, limit)
    asked = {entry.key: entry.value for entry in task_args}
    metrics = task.metrics_with(asked)
    revision = Entry("model_revision", model.revision, "the commit that was looked at")
    wanted = _wanted(task, asked)
    dataset = (
        _without_data(task) if data is None else _dataset(task, model, data, evaluated, wanted)
    )
    entries = [
        guessed("task", task.name, f"config.json says {model.architecture}"),
        Entry("model_name_or_path", model.name, above=model.notes),
        *([revision] if model.revision is not None else []),
        dataset,
        *([Entry("task_args", block=task_args)] if task_args else []),
        Entry("metrics", [metric.name for metric in metrics], f"all metrics of {task.name}"),
        *_max_eval_samples(evaluated),
        *_timing(task, limit),
        _framework_args(model),
        _benchmarked(has_calibration=calibrated is not None),
    ]
    return tuple(entries)


def _wanted(task: TaskSpec, task_args: Mapping[str, JsonValue]) -> dict[str, Wanted]:
    """What the columns of the task must be like, by its name for the input."""
    wanted = WANTED.get(task.name) or {
        key: Wanted(("text",), (key,)) for key in (*task.data_keys, REFERENCES)
    }
    other = next((OTHER_REFERENCES[name] for name in task_args if name in OTHER_REFERENCES), None)
    return wanted if other is None else wanted | {REFERENCES: other}


def _without_data(task: TaskSpec) -> Entry:
    def place(key: str, value: str, what: str) -> Entry:
        return replace(to_fill_in(key, what), value=value)

    keys = (
        *(to_fill_in(key, f"the column with the {key} input") for key in task.data_keys),
        *(_optional(key) for key in task.optional_data_keys),
    )
    return Entry(
        "dataset",
        above=("",),
        comment="fill in: the data, or run init again with --dataset",
        block=(
            to_fill_in(
                "path",
                "hub name, local folder, or json, csv, parquet, imagefolder with data_files",
            ),
            place("eval_split", "validation", "the split that accuracy is measured on"),
            Entry("data_keys", block=keys),
            place("ref_keys", "[...]", "the column with the right answers"),
            Entry(
                "calibration_split",
                "train",
                "optional: for static quantization",
                filled=False,
            ),
        ),
    )


def _optional(key: str) -> Entry:
    return Entry(key, "...", f"optional: the column with the {key} input", filled=False)


def _dataset(
    task: TaskSpec,
    model: ModelSource,
    data: DatasetFacts,
    evaluated: SplitFacts | None,
    wanted: Mapping[str, Wanted],
) -> Entry:
    calibrated = columns.find_calibration_split(data.splits, evaluated)
    seen = evaluated or next(iter(data.splits), SplitFacts("", 0, ()))
    found = find_columns(seen.columns, wanted)
    given: list[Entry] = [Entry("path", data.path, above=data.notes)]
    if data.data_files is not None:
        files = dict[str, object](data.data_files)
        why = "guessed: one file, taken as the data to evaluate on"
        block = tuple(Entry(split, str(file)) for split, file in files.items())
        given = [
            guessed("path", data.path, "from the ending of the file"),
            Entry("data_files", comment=why, block=block),
        ]
    if data.name is not None:
        given.append(Entry("name", data.name))
    if data.revision is not None:
        given.append(Entry("revision", data.revision, "the commit that was looked at"))
    keys = [columns.column_entry(key, found.get(key), seen.columns) for key in task.data_keys]
    second = find_second_text(seen.columns, found.get("text"))
    for key in task.optional_data_keys:
        keys.append(columns.column_entry(key, second, ()) if second else _optional(key))
    cluster = (
        [
            Entry(
                "cluster_key",
                found["context"].column.name,
                "optional: where several questions share one context, intervals then respect it",
                filled=False,
            )
        ]
        if "context" in found
        else []
    )
    return Entry(
        "dataset",
        above=("",),
        block=(
            *given,
            columns.eval_split_entry(data.splits, evaluated),
            Entry("data_keys", block=tuple(keys)),
            _references(task, model, found.get(REFERENCES), seen, wanted[REFERENCES]),
            columns.calibration_split_entry(data.splits, calibrated),
            *cluster,
        ),
    )


def _references(
    task: TaskSpec, model: ModelSource, found: Found | None, seen: SplitFacts, wanted: Wanted
) -> Entry:
    if found is None or task.num_ref_keys != 1:
        count = "one" if task.num_ref_keys == 1 else str(task.num_ref_keys)
        what = f"{count} of the columns {columns.columns_in_words(seen.columns)}"
        return replace(to_fill_in("ref_keys", what), value="[...]")
    name = found.column.name
    if not {"classes", "tags"} & set(wanted.kinds):
        return guessed("ref_keys", [name], found.why)
    matched = match_classes(found.column, model_classes(model.config))
    if matched.accepted:
        return replace(guessed("ref_keys", [name], found.why), above=matched.lines)
    what = f"a column with the classes of the model; those of {name} are not"
    return replace(to_fill_in("ref_keys", what, matched.lines), value="[...]")


def _task_args(task: TaskSpec, model: ModelSource, limit: int | None) -> tuple[Entry, ...]:
    """The kind of answer that the model gives; windows that fit it, where the task's do not."""
    fields = task.args.model_fields
    if "is_regression" in fields:
        return _kind_of_answer(model)
    default = fields["max_seq_length"].default if "max_seq_length" in fields else None
    if limit is None or default is None or limit >= default:
        return ()
    block = [guessed("max_seq_length", limit, f"the model takes no more; the default is {default}")]
    if "doc_stride" in fields:
        # As run_qa's 128 of 384: a third is read twice, the question still has room.
        why = "a third of max_seq_length, as the default is"
        block.append(guessed("doc_stride", limit // 3, why))
    return tuple(block)


def _kind_of_answer(model: ModelSource) -> tuple[Entry, ...]:
    """Of a classifier of texts, where it is not one class of several."""
    if len(model_classes(model.config)) == 1:
        return (guessed("is_regression", True, "config.json has one output"),)
    trained_for = model.config.get("problem_type")
    if trained_for == "multi_label_classification":
        return (guessed("is_multi_label", True, f"config.json says {trained_for}"),)
    return ()


def _max_eval_samples(evaluated: SplitFacts | None) -> list[Entry]:
    if evaluated is None or evaluated.num_rows <= _MAX_EVAL_SAMPLES:
        return []
    why = f"of {evaluated.num_rows:,}, to be done sooner; remove it to evaluate on all"
    return [guessed("max_eval_samples", _MAX_EVAL_SAMPLES, why)]


def _timing(task: TaskSpec, limit: int | None) -> list[Entry]:
    entries = [
        guessed("batch_sizes", list(_BATCH_SIZES), "common sizes; put those of your service")
    ]
    if task.uses_input_length:
        most_tokens = _INPUT_LENGTHS[-1] if limit is None else limit
        lengths: list[JsonValue] = list(dict.fromkeys(min(n, most_tokens) for n in _INPUT_LENGTHS))
        most = "no limit found" if limit is None else f"the model takes up to {limit} tokens"
        why = f"{most}; put those of your service"
        entries.append(guessed("input_lengths", lengths, why))
    seconds = TimeBenchmarkArgs().duration
    duration = Entry("duration", seconds, "seconds per model and shape, at most (the default)")
    return [*entries, Entry("time_benchmark_args", block=(duration,))]


def _framework_args(model: ModelSource) -> Entry:
    defaults = FrameworkArgs()
    opset = Entry("opset", defaults.opset, "the default")
    if model.onnx is not None:
        opset = Entry("opset", model.onnx.opset, "that of the ONNX file")
    return Entry(
        "framework_args",
        above=("",),
        block=(
            opset,
            Entry("optimization_level", defaults.optimization_level, "the default: all"),
        ),
    )


def _benchmarked(*, has_calibration: bool) -> Entry:
    approaches = (
        guessed("quantization_approach", ["dynamic", "static"], "there is a calibration_split")
        if has_calibration
        else guessed(
            "quantization_approach", ["dynamic"], "static needs a dataset.calibration_split"
        )
    )
    return Entry(
        "benchmarked",
        above=("",),
        comment="one row for every combination",
        block=(
            approaches,
            guessed(
                "operators_to_quantize",
                [["MatMul"]],
                "where a transformer spends its time; another to try: [Add, MatMul]",
            ),
            guessed("per_channel", [False, True], "one scale per output channel may gain accuracy"),
        ),
    )
