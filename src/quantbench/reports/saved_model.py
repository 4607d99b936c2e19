"""What the card of a saved model says of the folder: which file, and how to load it."""

from __future__ import annotations

from quantbench.analysis.package import Package
from quantbench.core.onnx_names import FOLDER
from quantbench.core.specs import TaskSpec
from quantbench.reports import markdown


def folder_section(found: Package, task: TaskSpec) -> str:
    """The section that is put behind the card of the run.

    Args:
        found: what is in the folder.
        task: the spec of its task; `AutoModelForX` is `ORTModelForX` in Optimum.
    """
    own = next(item for item in found.models if item.path == found.row_file)
    name = found.row_file.removeprefix(f"{FOLDER}/")
    ort_class = f"ORT{task.auto_class.removeprefix('Auto')}"
    optimum = (
        f"from optimum.onnxruntime import {ort_class}\n\n"
        f'model = {ort_class}.from_pretrained(FOLDER, subfolder="{FOLDER}", file_name="{name}")'
    )
    script = f'const run = await pipeline("{task.name}", FOLDER, {{ dtype: "{own.dtype}" }});'
    files = [
        [markdown.code(item.path), f"{item.num_bytes / 1e6:.1f}", markdown.code(item.sha256)]
        for item in found.models
    ]
    return "\n\n".join(
        [
            "# Files of this folder",
            f"The model of row {found.row} is {markdown.code(found.row_file)}: the file that was "
            f"measured, by its digest. `quantbench.json` has its parameters, results and versions.",
            *(f"{note[0].upper()}{note[1:]}." for note in found.notes),
            markdown.table(["file", "MB", "SHA-256"], files),
            markdown.fence(optimum, "python"),
            markdown.fence(script, "js"),
        ]
    )
