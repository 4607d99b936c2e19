"""`quantbench lint`: what the numbers of a published card cannot support."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from quantbench import registry
from quantbench.core.errors import EXIT_FAILED, EXIT_OK, UsageError


def lint_card(path: Path, num_samples: int | None, as_json: bool) -> int:
    """`quantbench lint`: the exit code is 1 if anything was found."""
    from quantbench.analysis.lint import lint
    from quantbench.cards.read import read_card
    from quantbench.reports.lint import lint_as_json, print_lint
    from quantbench.run_files import read_card_text

    if num_samples is not None and num_samples < 1:
        raise UsageError(
            f"--samples must be at least 1, not {num_samples}",
            hint="Give the number of samples that was evaluated, or leave it out.",
        )
    card = read_card(read_card_text(path), str(path), registry.catalog())
    asked = card.result.config.max_eval_samples
    if num_samples is not None and asked not in (None, num_samples):
        raise UsageError(
            f"--samples {num_samples}: the card says that it evaluated {asked}",
            hint="Leave --samples out: it is for cards that do not say a number.",
        )
    found = lint(card.result, registry.task(card.result.config.task).spec, num_samples)
    if as_json:
        print(json.dumps(lint_as_json(found, card, str(path)), indent=1))
    else:
        print_lint(found, card, str(path), sys.stdout)
    return EXIT_FAILED if found.findings else EXIT_OK
