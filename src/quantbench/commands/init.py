"""`quantbench init`: a first config."""

from __future__ import annotations

from pathlib import Path

from quantbench import registry
from quantbench.core.errors import EXIT_OK, UsageError


def write_first_config(
    model_name: str, dataset_path: str | None, dataset_name: str | None, out: Path | None
) -> int:
    """`quantbench init`: a commented config, guessed from a model and a dataset."""
    from quantbench.data.describe import describe_dataset, tokenizer_limit
    from quantbench.data.models import resolve_model
    from quantbench.starter.entries import open_places
    from quantbench.starter.guess import guess_config, guess_task
    from quantbench.starter.text import first_lines, to_yaml

    if dataset_name is not None and dataset_path is None:
        raise UsageError("--dataset-name needs --dataset")
    if out is not None and out.exists():
        raise _exists(out)
    tasks = registry.catalog().tasks
    model = resolve_model(model_name, None)
    guess_task(model, tasks)  # before a dataset is downloaded for nothing
    data = None if dataset_path is None else describe_dataset(dataset_path, dataset_name)
    limit = tokenizer_limit(model.directory)
    entries = guess_config(model, limit, data, tasks)
    places = list(open_places(entries))
    text = to_yaml(first_lines(model.name, places, "FILE" if out is None else str(out)), entries)
    if out is None:
        print(text, end="")
        return EXIT_OK
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise _exists(out) from None
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}") from None
    todo = f"fill in {', '.join(places)}" if places else "check what was guessed"
    print(f"{out}\n{todo}, then: quantbench plan {out}")
    return EXIT_OK


def _exists(path: Path) -> UsageError:
    return UsageError(f"{path} exists; it is not overwritten", hint="Give another name to --out.")
