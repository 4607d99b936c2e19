"""A small sweep with made-up numbers in which every kind of row occurs.

Rows 1 and 2 share the reference's file, 3 is plain, 4 faster but unresolved and not shown to be
inside the margin, 5 fails and 6 would share its file, 7 lost a cell, 8 is refused. `softmax`
matches no node, and `per_channel` cannot act on Add.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from quantbench.analysis.compare import summarize
from quantbench.core.config import SweepConfig
from quantbench.core.frozen import Frozen
from quantbench.core.plan import ORIGINAL_ID, Cell, Plan, make_plan
from quantbench.core.quantization import Dynamic, Float32
from quantbench.core.results import (
    ArmProcess,
    ArmResult,
    Artifact,
    Block,
    CpuInfo,
    Environment,
    Evaluation,
    Failed,
    NodeCounts,
    Prediction,
    Spent,
    Subject,
    SweepResult,
    Timing,
    TimingFailed,
)
from quantbench.core.specs import MetricSpec, TaskSpec
from quantbench.core.summary import SweepSummary

QUESTION_ANSWERING = TaskSpec(
    name="question-answering",
    data_keys=("question", "context"),
    num_ref_keys=1,
    metrics=(MetricSpec("exact_match", 1.0, True), MetricSpec("f1", 1.0, False)),
    uses_input_length=True,
    auto_class="AutoModelForQuestionAnswering",
    architecture_suffix="ForQuestionAnswering",
    output_names=("start_logits", "end_logits"),
    args=type("AnyArgs", (Frozen,), {"model_config": {"extra": "allow", "frozen": True}}),
)
IMAGE_CLASSIFICATION = TaskSpec(
    name="image-classification",
    data_keys=("primary",),
    num_ref_keys=1,
    metrics=(MetricSpec("accuracy", 100.0, True),),
    uses_input_length=False,
    auto_class="AutoModelForImageClassification",
    architecture_suffix="ForImageClassification",
    output_names=("logits",),
)
NUM_SAMPLES = 1200
ROUNDS = 12
ROUNDS_PER_SET = 3
FORWARDS = 16
# A block of 0.3 s on two processors which nobody else used.
QUIET: dict[str, int] = {
    "processor_ticks": 60,
    "busy_ticks": 58,
    "own_ticks": 58,
    "steal_ticks": 0,
    "involuntary_switches": 4,
}
REFERENCE_ID = "onnxruntime-float32-opset11-level99"


def config(**changes: object) -> SweepConfig:
    data: dict[str, object] = {
        "task": "question-answering",
        "model_name_or_path": "example-org/synthetic-bert",
        "dataset": {
            "path": "example-org/synthetic-questions",
            "eval_split": "validation",
            "data_keys": {"question": "question", "context": "context"},
            "ref_keys": ["answers"],
            "calibration_split": "train",
        },
        "calibration": {"num_calibration_samples": 50},
        "framework_args": {"opset": 11},
        "batch_sizes": [1, 4],
        "input_lengths": [32],
        "time_benchmark_args": {"duration": 10.0},
        "max_eval_samples": NUM_SAMPLES,
        "node_exclusion": ["layernorm", "softmax"],
        "benchmarked": {
            "quantization_approach": ["dynamic", "static"],
            "operators_to_quantize": [["Add"], ["MatMul"]],
            "per_channel": [False, True],
        },
    }
    return SweepConfig.model_validate(data | changes)


def sweep(asked: SweepConfig | None = None) -> SweepResult:
    """Numbers by arm: how many answers flip, and how many times faster than the original."""
    asked = asked or config()
    plan = make_plan(asked, QUESTION_ANSWERING)
    arms: list[ArmResult] = []
    for arm in plan.arms:
        scheme = arm.variant.quantization if arm.variant else None
        if arm.role == "original":
            found = _arm_result(plan, arm.id, 1.0, 0, 0, 0.01)
        elif scheme is None or isinstance(scheme, Float32):
            found = _arm_result(plan, arm.id, 1.5, 0, 0, 0.01)
        elif isinstance(scheme, Dynamic) and not scheme.per_channel:
            found = _arm_result(plan, arm.id, 3.2, 4, 2, 0.01)
        elif isinstance(scheme, Dynamic):
            found = _arm_result(plan, arm.id, 3.6, 9, 4, 0.25)
        elif scheme.operators == ("MatMul",):
            found = _arm_result(plan, arm.id, 2.4, 60, 10, 0.01, lost_cell=True)
        else:
            error = "the session | refused `file` <1>: no kernel\nfor DequantizeLinear(10)"
            failure = Failed(stage="quantize", error=error, hint="Use opset 13.")
            found = ArmResult(arm=arm, artifact=failure)
        arms.append(found)
    spent = [("prepare", "model and data", 3.0), ("export", "opset 11", 6.0), ("time", "b1", 51.0)]
    return SweepResult(
        spent=tuple(
            Spent(stage=stage, name=name, seconds=seconds, peak_rss_bytes=2**30)
            for stage, name, seconds in spent
        ),
        config=asked,
        plan=plan,
        environment=environment(),
        subject=subject(),
        arms=tuple(arms),
    )


def with_arm(result: SweepResult, arm_id: str, **changes: object) -> SweepResult:
    """The sweep with other results for one of its arms."""
    arms = [arm.model_copy(update=changes) if arm.arm.id == arm_id else arm for arm in result.arms]
    return result.model_copy(update={"arms": tuple(arms)})


def with_few_rounds(result: SweepResult, rounds: int = 3) -> SweepResult:
    """The sweep as if timing had ended after some rounds: too few for an interval."""
    for arm in result.arms:
        timings = tuple(
            item
            if isinstance(item, TimingFailed)
            else item.model_copy(
                update={"blocks": tuple(b for b in item.blocks if b.round < rounds)}
            )
            for item in arm.timings
        )
        result = with_arm(result, arm.arm.id, timings=timings)
    return result


def with_invalid_session(result: SweepResult) -> SweepResult:
    """The sweep with a second copy of the reference that is as slow as the original."""
    slow = next(arm for arm in result.arms if arm.arm.role == "original")
    return with_arm(result, f"{REFERENCE_ID}-twin", timings=slow.timings)


def with_blocks(
    result: SweepResult, change: Callable[[Block], dict[str, object]], batch_size: int = 1
) -> SweepResult:
    """The sweep with other values in the blocks of all arms at one batch size."""
    for arm in result.arms:
        timings = tuple(
            item
            if isinstance(item, TimingFailed) or item.cell.batch_size != batch_size
            else item.model_copy(
                update={"blocks": tuple(b.model_copy(update=change(b)) for b in item.blocks)}
            )
            for item in arm.timings
        )
        result = with_arm(result, arm.arm.id, timings=timings)
    return result


def report_inputs(
    result: SweepResult, task: TaskSpec = QUESTION_ANSWERING
) -> tuple[SweepResult, SweepSummary, TaskSpec]:
    """What reports are made from."""
    return result, summarize(result, task), task


def _arm_result(
    plan: Plan,
    arm_id: str,
    speed: float,
    worse: int,
    better: int,
    noise: float,
    *,
    lost_cell: bool = False,
) -> ArmResult:
    arm = plan.arm(arm_id)
    quantized = arm.role == "row"
    timings: list[Timing | TimingFailed] = [
        timing(arm_id, cell, speed, noise, twice=arm.role == "reference") for cell in plan.cells
    ]
    if lost_cell:
        timings[-1] = TimingFailed(
            stage="time", error="the arm's process was killed", hint=None, cell=plan.cells[-1]
        )
    return ArmResult(
        arm=arm,
        artifact=None if arm.id == ORIGINAL_ID else artifact(arm_id, quantized),
        evaluation=None if arm.role == "reference_twin" else evaluation(worse, better),
        timings=tuple(timings),
    )


def artifact(arm_id: str, quantized: bool) -> Artifact:
    done = 36
    return Artifact(
        key=f"key-{arm_id}",
        num_bytes=66_400_000 if quantized else 265_500_000,
        sha256="0" * 64,
        graph_digest=f"digest-{arm_id}",
        opset=11,
        seconds=1.0,
        nodes={
            "MatMul": NodeCounts(total=48, matched=0, excluded=0, quantized=done, left=48 - done),
            "Add": NodeCounts(total=89, matched=52, excluded=0, quantized=0, left=89),
        }
        if quantized
        else {},
        exclusion_matches={"layernorm": 25, "softmax": 0},
        executed_nodes={"99": {"MatMulIntegerToFloat": done, "Softmax": 6} if quantized else {}},
        max_abs_difference=None if quantized else 1.5e-6,
    )


def evaluation(worse: int, better: int, count: int = NUM_SAMPLES) -> Evaluation:
    """The original answers 80 % right; `worse` of those become wrong, `better` others right."""
    right = [index % 5 != 0 for index in range(count)]
    flips_down = [index for index in range(count) if right[index]][:worse]
    flips_up = [index for index in range(count) if not right[index]][:better]
    exact = [float(value) for value in right]
    for index in flips_down:
        exact[index] = 0.0
    for index in flips_up:
        exact[index] = 1.0
    f1 = [value if value else 0.25 for value in exact]
    return Evaluation(
        num_samples=count,
        metrics={"exact_match": 100 * sum(exact) / count, "f1": 100 * sum(f1) / count},
        sample_ids=tuple(f"q{index}" for index in range(count)),
        clusters=tuple(f"c{index // 4}" for index in range(count)),
        predictions=tuple(Prediction(answer="right" if value else "wrong") for value in exact),
        per_sample={"exact_match": tuple(exact), "f1": tuple(f1)},
        seconds=1.0,
    )


def timing(arm_id: str, cell: Cell, speed: float, noise: float, *, twice: bool = False) -> Timing:
    """40 ms per sample for the original; the whole machine drifts slowly over the rounds."""
    rng = random.Random(f"{arm_id}-{cell.id}")
    blocks: list[Block] = []
    for number in range(ROUNDS):
        drift = 1 + 0.2 * number / ROUNDS
        for position in (0, 9) if twice else (3,):
            level = 40e6 * cell.batch_size / speed * drift * (1 + noise * rng.uniform(-1, 1))
            times = tuple(round(level * (1 + 0.02 * rng.random())) for _ in range(FORWARDS))
            place = {"process_set": number // ROUNDS_PER_SET, "round": number}
            blocks.append(Block(**place, position=position, samples_ns=times, **QUIET))
    process = ArmProcess(num_threads=2, affinity=(0, 1), peak_rss_bytes=10**9, warmup_runs=5)
    return Timing(
        cell=cell,
        session="session",
        reference_id=REFERENCE_ID,
        blocks=tuple(blocks),
        processes=(process,) * (ROUNDS // ROUNDS_PER_SET),
        stopped="precise",
    )


def environment() -> Environment:
    return Environment(
        cpu=CpuInfo(
            model="Imaginary CPU @ 2.50GHz",
            architecture="x86_64",
            flags=("avx2", "avx512_vnni", "avx512f", "sse4_2"),
            physical_cores=2,
            logical_cores=4,
            allowed_cores=2,
        ),
        memory_bytes=8 * 2**30,
        operating_system="Linux 6.0",
        python="3.11.9",
        packages={"quantbench": "0.1.0", "torch": "2.13.0", "onnxruntime": "1.31.1"},
        num_threads=2,
        measured_at="2026-01-02T03:04:05+00:00",
    )


def subject() -> Subject:
    return Subject(
        model_name_or_path="example-org/synthetic-bert",
        model_revision="abc123",
        model_digest="deadbeef",
        model_type="bert",
        architecture="BertForQuestionAnswering",
        num_parameters=66_000_000,
        license="apache-2.0",
        dataset_path="example-org/synthetic-questions",
        dataset_revision="def456",
        eval_fingerprint="f00d",
        eval_num_rows=5000,
        num_eval_samples=NUM_SAMPLES,
        calibration_fingerprint="cafe",
        num_shared_samples=0,
        calibration_num_rows=900,
    )
