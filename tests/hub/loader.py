"""Loads from a hub, each time in a process of its own that has loaded nothing yet.

`python loader.py` imports the libraries once, then answers JSON lines: for each it forks, so that
no cache in memory, open connection or changed constant lives on. Pauses are listed, not made.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any


def load(request: dict[str, Any]) -> dict[str, Any]:
    """Load a model or a split; the answer has `error` for a refusal, `crash` for anything else."""
    import datasets.config
    import huggingface_hub.constants as hub

    from quantbench.core.config import DatasetConfig
    from quantbench.core.errors import UsageError
    from quantbench.data.models import resolve_model
    from quantbench.data.rows import load_split

    home = Path(request["home"])
    hub.HF_HOME = str(home)
    hub.HF_HUB_CACHE = str(home / "hub")
    hub.HF_TOKEN_PATH = str(home / "token")
    datasets.config.HF_DATASETS_CACHE = home / "datasets"
    datasets.config.DOWNLOADED_DATASETS_PATH = str(home / "datasets" / "downloads")
    # A download goes on where it was in steps of this size; the models here are small.
    hub.DOWNLOAD_CHUNK_SIZE = 1000
    hub.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = request["offline"]
    os.chdir(request["directory"])
    if request["token"] is not None:
        os.environ["HF_TOKEN"] = request["token"]
    if request["max_file_bytes"] is not None:
        limit = int(request["max_file_bytes"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    pauses: list[float] = []
    time.sleep = pauses.append  # type: ignore[assignment]
    try:
        if request["what"] == "model":
            source = resolve_model(request["name"], request["revision"])
            answer: dict[str, Any] = {
                "directory": str(source.directory),
                "files": sorted(path.name for path in source.directory.iterdir()),
                "revision": source.revision,
                "name": source.name,
                "notes": source.notes,
                "num_parameters": source.num_parameters,
                "digest": source.digest,
            }
        else:
            config = DatasetConfig(
                data_keys={"primary": "text"}, ref_keys=("label",), **request["dataset"]
            )
            split = load_split(config, config.eval_split, "dataset.eval_split")
            answer = {
                "rows": list(split.rows),
                "revision": split.revision,
                "location": split.location,
                "origin": split.origin,
                "notes": split.notes,
                "fingerprint": split.fingerprint,
            }
    except UsageError as error:
        answer = {"error": str(error), "exit_code": error.exit_code}
    except BaseException:
        answer = {"crash": traceback.format_exc()}
    return answer | {"pauses": pauses}


def main() -> None:
    """Answer requests from stdin until it closes."""
    import datasets.packaged_modules.cache.cache
    import datasets.packaged_modules.json.json
    import datasets.packaged_modules.parquet.parquet  # noqa: F401
    import scipy.io  # noqa: F401 - the datasets library imports it when it opens data
    import torch  # noqa: F401

    import quantbench.data.models
    import quantbench.data.rows  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            answer = json.dumps(load(json.loads(line)))
            os.write(1, answer.encode() + b"\n")
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
