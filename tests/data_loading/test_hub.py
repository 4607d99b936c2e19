"""What errors of the hub mean, and when it is asked again; the rest is in tests/hub."""

import errno
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import errors

from quantbench.data import hub
from quantbench.data.hub_errors import RETRY_WAITS_S, DamagedFileError, explain


def http(status: int) -> errors.HfHubHTTPError:
    # What the errors read of an answer; the client library behind it is none of our business.
    response: Any = SimpleNamespace(headers={}, request=None, status_code=status)
    return errors.HfHubHTTPError(f"{status} for url", response=response)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made


class TestTryingAgain:
    @pytest.mark.parametrize("error", [http(503), http(429), DamagedFileError("weights")])
    def test_what_may_pass_is_tried_three_times(
        self, pauses: list[float], error: Exception
    ) -> None:
        tries: list[int] = []

        def action() -> str:
            tries.append(1)
            if len(tries) < 3:
                raise error
            return "done"

        assert hub.retrying(action) == "done"
        assert pauses == list(RETRY_WAITS_S)

    @pytest.mark.parametrize("error", [http(404), http(401), OSError(errno.ENOSPC, "full")])
    def test_what_does_not_pass_is_tried_once(self, pauses: list[float], error: Exception) -> None:
        def action() -> None:
            raise error

        with pytest.raises(type(error)):
            hub.retrying(action)
        assert pauses == []


class TestExplaining:
    def explain(self, error: BaseException) -> str:
        found = explain(error, "model", "owner/name", None)
        assert found is not None
        return f"{found.about}: {found.message} / {found.hint}"

    def test_the_cause_counts_also_where_a_library_hides_it(self) -> None:
        def hide() -> None:
            try:
                raise http(503)
            except OSError:
                raise FileNotFoundError("not found") from None

        with pytest.raises(FileNotFoundError) as caught:
            hide()
        assert "the hub answers 503" in self.explain(caught.value)

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
    def test_a_full_disk_says_where_to_go(self, number: int) -> None:
        assert "set HF_HOME" in self.explain(OSError(number, "No space left on device"))

    def test_a_cache_that_cannot_be_written_is_named(self) -> None:
        error = PermissionError(errno.EACCES, "Permission denied", "/cache/hub")
        assert "/cache/hub: Permission denied" in self.explain(error)

    def test_what_is_not_about_the_hub_is_left_to_others(self) -> None:
        assert explain(ValueError("columns"), "dataset", "owner/name", None) is None


def test_a_damaged_file_is_found_by_its_name_in_the_cache(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "commit"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    whole = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"  # of b"test"
    contents = {"a": (whole, b"test"), "b": ("0" * 64, b"other"), "c": ("0" * 40, b"small")}
    for name, (blob, data) in contents.items():
        (blobs / blob).write_bytes(data)
        (snapshot / name).symlink_to(blobs / blob)
    (snapshot / "same").symlink_to(blobs / ("0" * 64))
    assert hub.damaged_files(snapshot) == ("b", "same")
    assert hub.remove_damaged(snapshot) == ("b", "same")
    assert sorted(path.name for path in snapshot.iterdir()) == ["a", "c"]
    assert sorted(path.name for path in blobs.iterdir()) == ["0" * 40, whole]
