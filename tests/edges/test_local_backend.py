"""Workers of the local backend live as long as the backend, whoever asked for them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from quantbench.backends import local

# Refused at once: what matters is that there is an answer.
UNIT: dict[str, Any] = {
    "stage": "prepare",
    "config": {
        "task": "image-classification",
        "model_name_or_path": "./no-such-model",
        "dataset": {"path": "d", "data_keys": {"primary": "image"}, "ref_keys": ["labels"]},
    },
}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the workers that are started."""
    counts: list[int] = []
    start = local._start

    def counted() -> Any:
        counts.append(1)
        return start()

    monkeypatch.setattr(local, "_start", counted)
    return counts


def test_a_worker_outlives_the_thread_that_asked_for_it(tmp_path: Path, started: list[int]) -> None:
    run = local.BACKEND.open({}, tmp_path, fresh=False)
    try:
        with ThreadPoolExecutor(max_workers=1) as pool:
            first = pool.submit(run.run, UNIT, lambda _: None).result()
        second = run.run(UNIT, lambda _: None)
    finally:
        run.close()
    assert first["result"] == second["result"]
    assert first["result"]["outcome"] == "refused"  # type: ignore[index, call-overload]
    assert len(started) == 1
