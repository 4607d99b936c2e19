"""What the steps of a comparison look things up in."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from quantbench.analysis import timing
from quantbench.core import stats
from quantbench.core.plan import ORIGINAL_ID, Arm, Cell, Plan
from quantbench.core.results import (
    ArmResult,
    Evaluation,
    SweepResult,
    Timing,
    TimingFailed,
)
from quantbench.core.specs import MetricSpec
from quantbench.core.summary import GIVEN_FILE, PYTORCH_EAGER, Latency, Ratio


class Facts:
    """The results by arm, where an arm may stand for others with the same file.

    What rows share, the times of the original above all, is looked up and derived once: the work
    grows with the rows, not with their square.
    """

    def __init__(
        self,
        result: SweepResult,
        plan: Plan,
        metrics: Sequence[MetricSpec],
        arms: dict[str, ArmResult],
    ) -> None:
        self.config = result.config
        self.environment = result.environment
        self.plan = plan
        self.metrics = metrics
        self._arms = arms
        self._planned = {arm.id: arm for arm in plan.arms}
        self._timings: dict[tuple[str, Cell], list[Timing | TimingFailed]] = {}
        for arm_id, found in arms.items():
            for item in found.timings:
                self._timings.setdefault((arm_id, item.cell), []).append(item)
        # By the identity of timings, which the results hold as long as this lives.
        self._latencies: dict[int, Latency] = {}
        self._logs: dict[tuple[int, int], dict[stats.Round, float]] = {}

    def planned(self, arm_id: str) -> Arm:
        """The arm of that id, as the plan has it."""
        return self._planned[arm_id]

    @property
    def original_name(self) -> str:
        """What speed-ups are over: PyTorch eager, or the ONNX file that was given as the model."""
        return PYTORCH_EAGER if self.planned(ORIGINAL_ID).variant is None else GIVEN_FILE

    @functools.cached_property
    def num_compared(self) -> int:
        """How many distinct quantized models were evaluated beside the original, at least 1."""
        rows = (row.arm_id for row in self.plan.rows if row.arm_id and self.evaluation(row.arm_id))
        of_rows = set(map(self.resolve, rows))
        floats = {self.resolve(row.reference_id) for row in self.plan.rows if row.reference_id}
        return max(1, len(of_rows - floats - {ORIGINAL_ID}))

    def own(self, arm_id: str) -> ArmResult | None:
        """The result of exactly that arm; None if it was never run."""
        return self._arms.get(arm_id)

    def resolve(self, arm_id: str) -> str:
        """The id of the arm that was measured in that arm's place."""
        found = self._arms.get(arm_id)
        return arm_id if found is None or found.same_as is None else self.resolve(found.same_as)

    def evaluation(self, arm_id: str) -> Evaluation | None:
        """The evaluation that holds for that arm; None if it failed or was not run."""
        found = self._arms.get(self.resolve(arm_id))
        return found.evaluation if found and isinstance(found.evaluation, Evaluation) else None

    def timings(self, arm_id: str, cell: Cell) -> tuple[Timing | TimingFailed, ...]:
        """All times that hold for that arm in that cell, one entry per session."""
        return self.own_timings(self.resolve(arm_id), cell)

    def own_timings(self, arm_id: str, cell: Cell) -> tuple[Timing | TimingFailed, ...]:
        """The times of exactly that arm in that cell, one entry per session."""
        return tuple(self._timings.get((arm_id, cell), ()))

    def timings_of_all(self, cell: Cell) -> list[Timing]:
        """The times of all arms in that cell, of all sessions."""
        return [
            item
            for arm_id in self._arms
            for item in self.own_timings(arm_id, cell)
            if isinstance(item, Timing)
        ]

    def latency(self, found: Timing | TimingFailed | None) -> Latency | None:
        """Absolute times of one arm in one cell; None if it was not timed."""
        if not isinstance(found, Timing):
            return None
        if id(found) not in self._latencies:
            self._latencies[id(found)] = timing.latency(found)
        return self._latencies[id(found)]

    def timing(
        self, arm_id: str, cell: Cell, beside: Timing | TimingFailed | None = None
    ) -> Timing | TimingFailed | None:
        """The times that hold for that arm in that cell; None if it was not run.

        Args:
            arm_id: the arm.
            cell: the cell.
            beside: times of the same session are wanted, and no others; without it the newest
                that were measured together with the original, or else the newest.
        """
        found = self.timings(arm_id, cell)
        if isinstance(beside, Timing):
            wanted = {beside.session}
        else:
            compared = self.timings(ORIGINAL_ID, cell)
            wanted = {item.session for item in compared if isinstance(item, Timing)}
        timed = [item for item in reversed(found) if isinstance(item, Timing)]
        together = [item for item in timed if item.session in wanted]
        if together:
            return together[0]
        if isinstance(beside, Timing):  # another session's would say nothing
            return next((item for item in found if isinstance(item, TimingFailed)), None)
        return next(iter((*timed, *found)), None)

    def ratio(
        self, slow_id: str | None, fast_id: str, cell: Cell, beside: Timing | TimingFailed | None
    ) -> Ratio | None:
        """How many times faster the second arm is; None if they were not interleaved.

        Args:
            slow_id: the arm whose time is above the line.
            fast_id: the arm whose time is below it.
            cell: the cell.
            beside: in whose session both are looked for.
        """
        slow = self.timing(slow_id, cell, beside) if slow_id else None
        fast = self.timing(fast_id, cell, beside)
        anchor = self.anchor(fast)
        if not isinstance(slow, Timing) or not isinstance(fast, Timing) or anchor is None:
            return None
        if slow.session != fast.session:
            return None
        return timing.ratio(self._over(slow, anchor), self._over(fast, anchor))

    def _over(self, arm: Timing, anchor: Timing) -> dict[stats.Round, float]:
        key = (id(arm), id(anchor))
        if key not in self._logs:
            self._logs[key] = stats.ratio_per_round(arm.blocks, anchor.blocks)
        return self._logs[key]

    def anchor(self, arm: Timing | TimingFailed | None) -> Timing | None:
        """The reference that ran first and last in the rounds of an arm, in the same session."""
        if not isinstance(arm, Timing):
            return None
        found = self.timing(arm.reference_id, arm.cell, arm)
        return found if isinstance(found, Timing) and found.session == arm.session else None
