"""What every runtime asks of the inputs that it is bound to."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from quantbench.core.errors import QuantbenchError


def check_names(given: Iterable[str], accepted: Collection[str], required: Collection[str]) -> None:
    """Refuse inputs that the model does not take, and missing ones.

    Raises:
        QuantbenchError: an input that is ignored, or one that is left out, would make two models
            look comparable that were given different things.
    """
    given = set(given)
    unknown, missing = sorted(given - set(accepted)), sorted(set(required) - given)
    problems = [f"takes no input {', '.join(unknown)}"] if unknown else []
    problems += [f"needs input {', '.join(missing)}"] if missing else []
    if problems:
        raise QuantbenchError(
            f"the model {' and '.join(problems)} (given: {', '.join(sorted(given)) or 'none'})",
            hint=f"It takes: {', '.join(sorted(accepted))}.",
        )
