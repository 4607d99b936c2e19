"""What is said when the hub refuses a model; the hub itself is replaced."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import errors

from quantbench.core.errors import UsageError
from quantbench.data.hub_model import download

# What the errors read of an answer; the client library behind it is none of our business.
RESPONSE: Any = SimpleNamespace(headers={}, request=None)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.RepositoryNotFoundError("no", response=RESPONSE), "no such model on the hub"),
        (errors.GatedRepoError("no", response=RESPONSE), "people who accepted its terms"),
        (errors.RevisionNotFoundError("no", response=RESPONSE), "no such branch, tag or commit"),
        (errors.LocalEntryNotFoundError("no"), "the hub cannot be reached"),
        (errors.HfHubHTTPError("internal error", response=RESPONSE), "failed: internal error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_refusal_has_its_own_words(
    error: Exception, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(UsageError, match=expected):
        download("owner/name", "v1")


def test_no_code_and_no_pickles_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_model: Callable[..., Path]
) -> None:
    asked: list[str] = []

    def snapshot(name: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked.extend(allow_patterns)
        return str(make_model(tmp_path / "commit"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert download("owner/name", None) == (tmp_path / "commit", "commit")
    assert "model.safetensors" in asked
    assert not [pattern for pattern in asked if pattern.endswith((".py", ".bin", ".pt", "*"))]


def test_weights_in_another_format_are_named_though_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_model: Callable[..., Path]
) -> None:
    directory = make_model(tmp_path / "commit", **{"model.safetensors": None})
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(directory))
    listed = ["config.json", "pytorch_model.bin", "onnx/model.bin"]
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", lambda *_, **__: listed)
    with pytest.raises(UsageError, match=r"weights only as pytorch_model\.bin, not as"):
        download("owner/name", None)
