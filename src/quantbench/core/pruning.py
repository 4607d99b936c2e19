"""Which artifacts of the store go: by age, by last use, by size. Pure: nothing is touched."""

from __future__ import annotations

from collections.abc import Sequence

from quantbench.core.frozen import Frozen


class CachedArtifact(Frozen):
    """What is known of an artifact without reading its files.

    `stage` is None where `facts.json` cannot be read. `made_ns` and `used_ns` (last use) are
    nanoseconds since 1970. `runs` are the folders of the runs that name it.
    """

    key: str
    stage: str | None
    num_bytes: int
    made_ns: int
    used_ns: int
    runs: tuple[str, ...] = ()


class Limits(Frozen):
    """What is too old, unused for too long, or too much; an artifact goes if any of these says so.

    None sets no limit.
    """

    older_than_s: float | None = None
    unused_for_s: float | None = None
    max_bytes: int | None = None


class Choice(Frozen):
    """`gone` are the artifacts to remove; `kept` those that would go if no run named them."""

    gone: tuple[CachedArtifact, ...]
    kept: tuple[CachedArtifact, ...]


def choose(artifacts: Sequence[CachedArtifact], limits: Limits, now_ns: int) -> Choice:
    """Choose what goes; what a run names never does.

    After what is too old or unused for too long, the least recently used go until the rest is
    not above the size.

    Args:
        artifacts: all of the store.
        limits: at least one of them is set, or nothing goes.
        now_ns: nanoseconds since 1970.
    """
    gone: list[CachedArtifact] = []
    kept: list[CachedArtifact] = []
    left = sum(artifact.num_bytes for artifact in artifacts)
    # Those that are too old come first: they count towards the size whenever they were used.
    for artifact in sorted(
        artifacts, key=lambda item: (not _is_over_time(item, limits, now_ns), item.used_ns)
    ):
        is_too_much = limits.max_bytes is not None and left > limits.max_bytes
        if not (_is_over_time(artifact, limits, now_ns) or is_too_much):
            continue
        if artifact.runs:
            kept.append(artifact)
        else:
            gone.append(artifact)
            left -= artifact.num_bytes
    return Choice(gone=tuple(gone), kept=tuple(kept))


def _is_over_time(artifact: CachedArtifact, limits: Limits, now_ns: int) -> bool:
    return any(
        seconds is not None and now_ns - since_ns > seconds * 1e9
        for seconds, since_ns in (
            (limits.older_than_s, artifact.made_ns),
            (limits.unused_for_s, artifact.used_ns),
        )
    )
