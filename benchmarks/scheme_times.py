"""Every scheme on DistilBERT-base: what the session runs in integers, size, and time beside fp32.

Weights are random: times and sizes are those of the real model, accuracy means nothing. The models
take turns in blocks of half a second, so what disturbs the machine disturbs all of them.

    python benchmarks/scheme_times.py [--out runs/scheme-times] [--rounds 6] [--threads 2]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from quantbench.core.calibration import Calibration
from quantbench.core.quantization import Blocks, Dynamic, Scheme, Static, WeightOnly
from quantbench.protocols import Inputs, SessionOptions
from quantbench.runtimes.ort import RUNTIME
from quantbench.stages.calibrate import collect_ranges
from quantbench.stages.check import check_file
from quantbench.stages.export import export_onnx
from quantbench.stages.quantize import quantize_model

OPSET = 17
SHAPES = ((1, 32), (1, 128))
BLOCK_S = 0.5
VOCABULARY_SIZE = 30_522
SCHEMES: dict[str, Scheme] = {
    "dynamic int8": Dynamic(operators=("MatMul",)),
    "dynamic int8, reduce_range": Dynamic(operators=("MatMul",), reduce_range=True),
    "dynamic uint8": Dynamic(operators=("MatMul",), weight_type="uint8"),
    "QDQ U8S8": Static(operators=("MatMul",)),
    "QDQ U8S8, per channel": Static(operators=("MatMul",), per_channel=True),
    "QDQ U8S8, all MatMuls": Static(operators=("MatMul",), quantize_activation_matmul=True),
    "QDQ U8U8": Static(operators=("MatMul",), weight_type="uint8"),
    "QDQ S8S8": Static(operators=("MatMul",), activation_type="int8"),
    "QOperator U8S8": Static(operators=("MatMul",), quant_format="QOperator"),
    "QOperator S8S8": Static(
        operators=("MatMul",), quant_format="QOperator", activation_type="int8"
    ),
    "weight-only 4 bits": WeightOnly(operators=("MatMul",)),
    "weight-only 4 bits, level 1": WeightOnly(
        operators=("MatMul",), weight_only=Blocks(accuracy_level=1)
    ),
    "weight-only 8 bits": WeightOnly(operators=("MatMul",), weight_only=Blocks(bits=8)),
}


def main() -> None:
    """Make the files, and print one line for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/scheme-times"))
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    files = {"fp32": _export(arguments.out), **_quantized(arguments.out)}
    medians = _medians_ms(files, arguments.rounds, arguments.threads)
    shapes = " | ".join(f"{batch}×{length}: ms | fp32 ÷ it" for batch, length in SHAPES)
    print(f"| scheme | integer MatMuls | MB | {shapes} |")
    print("|---" * (3 + 2 * len(SHAPES)) + "|")
    for name, path in files.items():
        executed = check_file(path, [99], _inputs(1, 16), arguments.threads)["99"]
        kinds = ("QLinearMatMul", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "MatMulNBits")
        count = sum(executed.get(kind, 0) for kind in kinds)
        cells = [
            f"{found:.1f} | {fp32 / found:.2f}"
            for found, fp32 in zip(medians[name], medians["fp32"], strict=True)
        ]
        print(f"| {name} | {count} | {path.stat().st_size / 1e6:.0f} | {' | '.join(cells)} |")


def _inputs(batch: int, length: int, seed: int = 0) -> Inputs:
    ids = np.random.default_rng(seed).integers(1000, VOCABULARY_SIZE, (batch, length))
    return {"input_ids": ids, "attention_mask": np.ones((batch, length), np.int64)}


def _export(out: Path) -> Path:
    path, directory = out / "fp32.onnx", out / "model"
    if not path.exists():
        import torch
        import transformers

        out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        config = transformers.DistilBertConfig(vocab_size=VOCABULARY_SIZE)
        transformers.DistilBertForQuestionAnswering(config).save_pretrained(directory)
        samples = [_inputs(1, 16), _inputs(2, 11)]
        export_onnx(directory, "AutoModelForQuestionAnswering", OPSET, samples, path)
    return path


def _quantized(out: Path) -> dict[str, Path]:
    exported, ranges = out / "fp32.onnx", out / "ranges.json"
    samples: Iterator[Inputs] = (_inputs(1, 64, seed) for seed in range(8))
    collect_ranges(exported, samples, ["MatMul"], Calibration(), ranges)
    files: dict[str, Path] = {}
    for number, (name, scheme) in enumerate(SCHEMES.items()):
        files[name] = out / f"{number}.onnx"
        given = ranges if isinstance(scheme, Static) else None
        quantize_model(exported, scheme, given, files[name])
    return files


def _medians_ms(files: dict[str, Path], rounds: int, threads: int) -> dict[str, list[float]]:
    sessions = {
        name: RUNTIME.open(path, SessionOptions(threads, 99)) for name, path in files.items()
    }
    bound = {name: [item.bind(_inputs(*s)) for s in SHAPES] for name, item in sessions.items()}
    samples: dict[str, list[list[int]]] = {name: [[] for _ in SHAPES] for name in files}
    for _ in range(rounds):
        for name, forwards in bound.items():
            for forward, taken in zip(forwards, samples[name], strict=True):
                for _ in range(3):  # the first ones after another model are slow
                    forward()
                end = time.perf_counter() + BLOCK_S
                while time.perf_counter() < end:
                    started = time.perf_counter_ns()
                    forward()
                    taken.append(time.perf_counter_ns() - started)
    return {
        name: [statistics.median(taken) / 1e6 for taken in found] for name, found in samples.items()
    }


if __name__ == "__main__":
    main()
