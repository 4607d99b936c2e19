"""What a sweep will cost, and what of it is there already. Plain data."""

from __future__ import annotations

from quantbench.core.frozen import Frozen


class StepForecast(Frozen):
    """One step: whether all that it makes is in the store, else how long it will take.

    `learned` says that the time comes from units like it that were done on this machine.
    """

    stage: str
    name: str
    is_stored: bool
    seconds: float
    learned: bool


class Forecast(Frozen):
    """What is known of a sweep before it runs.

    `is_known` says whether model and data were looked at before, and did not change: without that,
    nobody knows what is stored. `naive_seconds` is what one row at a time would take. Memory and
    disk are None where they are not known.
    """

    is_known: bool
    steps: tuple[StepForecast, ...]
    seconds: float
    naive_seconds: float
    peak_rss_bytes: int | None
    disk_bytes: int | None
