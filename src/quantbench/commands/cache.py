"""`quantbench cache`: what is in the store, what is damaged, what may go."""

from __future__ import annotations

import json
import sys
import time

from quantbench.core.errors import EXIT_FAILED, EXIT_OK, UsageError


def print_cache(each: bool, as_json: bool) -> int:
    """`quantbench cache list`: what is in the store."""
    from quantbench.cache.contents import read_artifacts
    from quantbench.cache.runs import read_runs
    from quantbench.reports.cache import contents_as_json, print_contents
    from quantbench.store import default_store

    root = default_store()
    artifacts = read_artifacts(root, read_runs(root))
    if as_json:
        print(json.dumps(contents_as_json(artifacts, root, each=each), indent=1))
    else:
        print_contents(artifacts, root, sys.stdout, each=each)
    return EXIT_OK


def verify_cache(keep: bool, as_json: bool) -> int:
    """`quantbench cache verify`: read every file; what is damaged is named, and removed."""
    from quantbench.cache.contents import find_damage, read_artifacts, take_away
    from quantbench.cache.runs import read_runs
    from quantbench.reports.cache import damage_as_json, print_damage
    from quantbench.store import default_store

    root = default_store()
    artifacts = read_artifacts(root, read_runs(root))
    found = [(item, find_damage(root, item.key)) for item in artifacts]
    damaged = [(item, reason) for item, reason in found if reason is not None]
    for item, _ in damaged if not keep else ():
        take_away(root, item)
    if as_json:
        print(json.dumps(damage_as_json(damaged, len(found), removed=not keep), indent=1))
    else:
        print_damage(damaged, len(found), sys.stdout, removed=not keep)
    return EXIT_FAILED if damaged else EXIT_OK


def prune_cache(
    older_than: str | None, unused_for: str | None, max_size: str | None, dry: bool, as_json: bool
) -> int:
    """`quantbench cache prune`: remove what is old or too much, and what no run names."""
    from quantbench.cache.contents import read_artifacts, take_away
    from quantbench.cache.runs import forget_gone_runs, read_runs
    from quantbench.core.amounts import parse_duration, parse_size
    from quantbench.core.pruning import Limits, choose
    from quantbench.reports.cache import print_pruned, pruned_as_json
    from quantbench.store import default_store

    if older_than is None and unused_for is None and max_size is None:
        hint = "Give --older-than 30d, --unused-for 14d, --max-size 5GB, or several of them."
        raise UsageError("cache prune needs to know what may go", hint=hint)
    limits = Limits(
        older_than_s=None if older_than is None else parse_duration(older_than, "--older-than"),
        unused_for_s=None if unused_for is None else parse_duration(unused_for, "--unused-for"),
        max_bytes=None if max_size is None else parse_size(max_size, "--max-size"),
    )
    root = default_store()
    artifacts = read_artifacts(root, read_runs(root))
    choice = choose(artifacts, limits, time.time_ns())
    if not dry:
        forget_gone_runs(root)
        removed = tuple(item for item in choice.gone if take_away(root, item))
        choice = choice.model_copy(update={"gone": removed})
    left = [item for item in artifacts if item not in choice.gone]
    if as_json:
        print(json.dumps(pruned_as_json(choice, left, dry=dry), indent=1))
    else:
        print_pruned(choice, left, limits.max_bytes, sys.stdout, dry=dry)
    return EXIT_OK
