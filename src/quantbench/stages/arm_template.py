"""The process that arms are forked from, where importing their runtime takes long."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from quantbench import registry
from quantbench.child import die_with_parent
from quantbench.core.errors import UsageError
from quantbench.protocols import Preloading, SessionOptions
from quantbench.stages import arm
from quantbench.template import serve_forks


def main(socket_number: str, framework: str, path: str, options: str) -> None:
    """Import what opening a model needs, then fork an arm whenever asked to."""
    die_with_parent()
    runtime = registry.runtime(framework)
    if not isinstance(runtime, Preloading):
        raise UsageError(f"{framework} has nothing to import beforehand")
    runtime.preload(Path(path), SessionOptions(**json.loads(options)))
    serve_forks(int(socket_number), arm.main)


if __name__ == "__main__":
    main(*sys.argv[1:])
