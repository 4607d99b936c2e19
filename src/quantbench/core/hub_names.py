"""What the hub accepts where its metadata has a fixed list, and what its repositories are called.

Tasks are `PIPELINE_DATA` of huggingface.js (packages/tasks/src/pipelines.ts), licenses the table of
huggingface.co/docs/hub/repositories-licenses with those that the hub's own message lists besides;
both as of November 2026. A name that the hub learns later is one line here.
"""

from __future__ import annotations

import re

from quantbench.core.errors import UsageError
from quantbench.core.printable import shortened

_TASKS = """
    any-to-any audio-classification audio-text-to-text audio-to-audio automatic-speech-recognition
    depth-estimation document-question-answering feature-extraction fill-mask graph-ml
    image-classification image-feature-extraction image-segmentation image-text-to-text image-to-3d
    image-to-image image-to-text image-to-video keypoint-detection mask-generation multiple-choice
    object-detection other question-answering reinforcement-learning robotics sentence-similarity
    summarization table-question-answering table-to-text tabular-classification tabular-regression
    tabular-to-text text-classification text-generation text-ranking text-retrieval text-to-3d
    text-to-audio text-to-image text-to-speech text-to-video text2text-generation
    time-series-forecasting token-classification translation unconditional-image-generation
    video-classification video-text-to-text visual-document-retrieval visual-question-answering
    voice-activity-detection zero-shot-classification zero-shot-image-classification
    zero-shot-object-detection
"""
TASKS = frozenset(_TASKS.split())

_LICENSES = """
    afl-3.0 agpl-3.0 apache-2.0 apple-amlr apple-ascl artistic-2.0 bigcode-openrail-m
    bigscience-bloom-rail-1.0 bigscience-openrail-m bsd bsd-2-clause bsd-3-clause
    bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0
    cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0
    cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0
    cdla-permissive-2.0 cdla-sharing-1.0 creativeml-openrail-m deepfloyd-if-license ecl-2.0 epl-1.0
    epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 fair-noncommercial-research-license gemma gfdl gpl gpl-2.0
    gpl-3.0 grok2-community h-research intel-research isc lgpl lgpl-2.1 lgpl-3.0 lgpl-lr llama2
    llama3 llama3.1 llama3.2 llama3.3 llama4 lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1
    openmdw-1.0 openmdw-1.1 openrail openrail++ osl-3.0 other pddl postgresql unknown unlicense
    wtfpl zlib
"""
LICENSES = frozenset(_LICENSES.split())

# How a model comes from its base model: huggingface.co/docs/hub/model-cards.
BASE_MODEL_RELATIONS = frozenset({"adapter", "finetune", "merge", "quantized"})

# An owner and a name as huggingface_hub's `validate_repo_id` allows them; the owner is asked for.
_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
# Datasets may have no owner: `squad`.
_ID = re.compile(rf"(?:{_PART.pattern}/)?{_PART.pattern}")
_SHOWN = 100


def is_hub_id(text: str) -> bool:
    """Whether a model or dataset of the hub may be called that, with an owner or without."""
    if _ID.fullmatch(text) is None or "--" in text or ".." in text:
        return False
    return not text.endswith(".git")


def check_repository(name: str) -> None:
    """Refuse a name that no repository of the hub can have.

    Raises:
        UsageError: it is not `owner/name` in the hub's characters.
    """
    if name.count("/") == 1 and is_hub_id(name):
        return
    raise UsageError(
        f"--repo {shortened(repr(name), _SHOWN)} is no name of a repository",
        hint="Give owner/name, as me/distilbert-int8: letters, digits, - _ and . in each (up to 96 "
        "of them, not first or last - or .), no -- or .., no .git at the end.",
    )
