"""`quantbench push`: a row's model, card and results, published on a hub on loopback."""

from __future__ import annotations

import importlib.resources
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import huggingface_hub.utils._http
import onnx
import pytest
import yaml
from upload_hub import READ_ONLY, TOKEN, UploadHub

from quantbench import cli, hub, registry, run_dir
from quantbench.analysis.front_matter import front_matter_problems, split_front_matter
from quantbench.core.errors import QuantbenchError
from quantbench.store import file_sha256

REPO = "me/digits-int8"
# Sorted as they are written: row 1 quantizes both, 2 nothing that can be, 3 the same as 1.
SHORT: dict[str, Any] = {
    "max_eval_samples": 12,
    "batch_sizes": [1],
    "framework_args": {"opset": 11, "optimization_level": 99},
    "time_benchmark_args": {"duration": 0.05, "warmup_runs": 1, "precision": 0.5},
    "quantization_approach": "dynamic",
    "benchmarked": {"operators_to_quantize": [["Add"], ["MatMul"], ["Add", "MatMul"]]},
}


class Clock:
    """The clock of huggingface_hub, whose pauses are listed and not made."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


class Place:
    """A working folder with a store, a run, and the command in it."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.capsys = capsys

    def command(self, *arguments: object) -> tuple[int, str, str]:
        """Exit code, and what was said on both streams."""
        self.capsys.readouterr()
        code = cli.main([str(item) for item in arguments])
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def push(self, *options: object, row: object = 1, repo: str = REPO) -> tuple[int, str, str]:
        return self.command("push", "run", "--row", row, "--repo", repo, *options)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sweep `run` of the bundled digits, and its store."""
    root = tmp_path_factory.mktemp("measured")
    text = (importlib.resources.files("quantbench.demo") / "demo-digits.yaml").read_text()
    (root / "run.yaml").write_text(yaml.safe_dump(yaml.safe_load(text) | SHORT, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("QUANTBENCH_STORE", str(root / "store"))
        assert cli.main(["run", "run.yaml", "--out", "run", "--quiet"]) == 0
    return root


@pytest.fixture(scope="module")
def server() -> Iterator[UploadHub]:
    with UploadHub() as found:
        yield found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(huggingface_hub.utils._http, "time", found)
    return found


@pytest.fixture
def uploads(
    server: UploadHub, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> UploadHub:
    """The hub, empty, and a machine that knows it and has a token."""
    server.clear()
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return server


@pytest.fixture
def place(
    measured: Path,
    uploads: UploadHub,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Place:
    monkeypatch.chdir(measured)
    monkeypatch.setenv("QUANTBENCH_STORE", str(measured / "store"))
    return Place(measured, capsys)


@pytest.fixture
def changed(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A copy of the place, to be damaged."""
    for name in ("store", "run"):
        shutil.copytree(place.root / name, tmp_path / "copy" / name)
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("QUANTBENCH_STORE", str(tmp_path / "copy" / "store"))
    return Place(tmp_path / "copy", place.capsys)


class TestWhatIsPublished:
    def test_one_commit_holds_everything(self, place: Place, uploads: UploadHub) -> None:
        code, out, _ = place.push()
        assert code == 0
        repository = uploads.repositories[REPO]
        assert not repository.private
        assert [item.message for item in repository.commits] == [
            "initial commit",
            "Add row 1 of a quantbench sweep: onnx/model_int8.onnx",
        ]
        assert f"published: {uploads.url}/{REPO}/commit/{repository.head.id}" in out
        assert {
            "README.md",
            "config.json",
            "preprocessor_config.json",
            "onnx/model.onnx",
            "onnx/model_int8.onnx",
            "plots/accuracy_speed-light.svg",
            "plots/accuracy_speed-dark.svg",
            "quantbench.json",
            "report.html",
            "table.parquet",
            "results/row-001.json",
        } <= repository.head.files.keys()

    def test_the_model_is_the_one_that_was_measured(self, place: Place, uploads: UploadHub) -> None:
        assert place.push()[0] == 0
        files = uploads.repositories[REPO].head.files
        record = json.loads(files["quantbench.json"])
        result = run_dir.load_run(place.root / "run", registry.catalog())
        own = result.arm(record["measured_as"]).artifact
        assert own is not None
        assert own.outcome == "completed"
        assert uploads.stored[own.sha256] == files["onnx/model_int8.onnx"]
        onnx.checker.check_model(onnx.load_model_from_string(files["onnx/model_int8.onnx"]))

    def test_large_files_are_stored_and_verified_without_the_token(
        self, place: Place, uploads: UploadHub
    ) -> None:
        assert place.push()[0] == 0
        large = {"onnx/model.onnx", "onnx/model_int8.onnx", "table.parquet"}
        files = uploads.repositories[REPO].head.files
        assert set(uploads.stored.values()) == {files[name] for name in large}
        assert uploads.verified == uploads.stored.keys()
        assert uploads.tokens_at_storage == []

    def test_the_card_has_metadata_of_the_row_and_pictures_that_are_there(
        self, place: Place, uploads: UploadHub
    ) -> None:
        assert place.push()[0] == 0
        files = uploads.repositories[REPO].head.files
        data, text = split_front_matter(files["README.md"].decode())
        assert front_matter_problems(data) == ()
        (model,) = data["model-index"]
        (metric,) = model["results"][0]["metrics"]
        assert metric["name"] == "accuracy (row 1, 12 samples)"
        assert 'subfolder="onnx", file_name="model_int8.onnx"' in text
        for name in ("plots/accuracy_speed-light.svg", "plots/accuracy_speed-dark.svg"):
            assert name in text
            assert name in files

    def test_every_file_has_the_digest_that_is_told(self, place: Place, uploads: UploadHub) -> None:
        code, out, _ = place.push("--json")
        assert code == 0
        told = json.loads(out)
        head = uploads.repositories[REPO].head
        assert told["published"]["commit"] == head.id
        sent = {item["path"]: item["num_bytes"] for item in told["files"]}
        assert sent == {
            name: len(content) for name, content in head.files.items() if name != ".gitattributes"
        }

    def test_a_row_is_found_by_the_start_of_its_id(self, place: Place, uploads: UploadHub) -> None:
        result = run_dir.load_run(place.root / "run", registry.catalog())
        assert result.plan is not None
        assert place.push(row=result.plan.rows[0].trial.id[:8])[0] == 0
        assert "Add row 1" in uploads.repositories[REPO].head.message

    def test_the_second_time_nothing_is_changed(self, place: Place, uploads: UploadHub) -> None:
        assert place.push()[0] == 0
        stored = uploads.asked("PUT /storage/")
        code, out, _ = place.push()
        assert code == 0
        assert "nothing was changed" in out
        assert len(uploads.repositories[REPO].commits) == 2
        assert uploads.asked("PUT /storage/") == stored

    def test_other_files_of_the_repository_stay(self, place: Place, uploads: UploadHub) -> None:
        uploads.add(REPO, LICENSE=b"all rights")
        assert place.push()[0] == 0
        assert uploads.repositories[REPO].head.files["LICENSE"] == b"all rights"
        assert ("POST /api/repos/create", 409) in uploads.requests


def test_the_command_of_the_shell_goes_where_hf_endpoint_leads(
    place: Place, uploads: UploadHub, tmp_path: Path
) -> None:
    """In a process of its own, with nothing of the library changed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    added = {
        "HF_ENDPOINT": uploads.url,
        "HF_HOME": str(tmp_path),
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "quantbench", "push", "run", "--row", "1", "--repo", REPO],
        capture_output=True, text=True, check=False, cwd=place.root, env=kept | added, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert [line[:5] for line in ended.stderr.splitlines()] == ["note:"]
    assert ended.stdout.splitlines()[-1].startswith(f"published: {uploads.url}/{REPO}/commit/")
    assert TOKEN not in ended.stdout + ended.stderr
    assert "onnx/model_int8.onnx" in uploads.repositories[REPO].head.files


class TestADryRun:
    def test_it_says_what_would_be_sent_and_contacts_nothing(
        self, place: Place, uploads: UploadHub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HF_TOKEN")
        code, out, _ = place.push("--dry-run", "--json")
        assert code == 0
        assert uploads.requests == []
        assert uploads.repositories == {}
        told = json.loads(out)
        assert told["dry_run"] is True
        assert told["published"] is None
        artifact = next(item for item in told["files"] if item["path"] == "onnx/model_int8.onnx")
        (stored,) = (
            path
            for path in (place.root / "store").rglob("model.onnx")
            if file_sha256(path) == artifact["sha256"]
        )
        assert artifact["num_bytes"] == stored.stat().st_size

    def test_it_lists_what_is_sent_later(self, place: Place, uploads: UploadHub) -> None:
        _, before, _ = place.push("--dry-run", "--json")
        _, after, _ = place.push("--json")
        assert json.loads(before)["files"] == json.loads(after)["files"]

    def test_a_person_sees_path_bytes_and_digest(self, place: Place) -> None:
        code, out, err = place.push("--dry-run")
        assert code == 0
        line = next(line for line in out.splitlines() if line.startswith("onnx/model_int8.onnx"))
        assert len(line.split()[2]) == 64
        assert out.splitlines()[-1] == (
            f"dry run: this would be one commit of {REPO}; nothing was sent"
        )
        assert "the license of the base model is not known" in err


class TestWhere:
    def test_a_new_repository_is_private_if_it_is_asked_for(
        self, place: Place, uploads: UploadHub
    ) -> None:
        assert place.push("--private")[0] == 0
        assert uploads.repositories[REPO].private

    def test_a_public_repository_is_not_taken_for_a_private_one(
        self, place: Place, uploads: UploadHub
    ) -> None:
        uploads.add(REPO)
        code, _, err = place.push("--private")
        assert code == 2
        assert "is there already, and is public" in err
        assert len(uploads.repositories[REPO].commits) == 1
        assert uploads.stored == {}

    def test_a_pull_request_proposes_to_a_repository_of_others(
        self, place: Place, uploads: UploadHub
    ) -> None:
        theirs = uploads.add("them/digits")
        code, out, _ = place.push("--pr", repo="them/digits")
        assert code == 0
        assert f"published: {uploads.url}/them/digits/discussions/1" in out
        assert len(theirs.commits) == 1
        assert "onnx/model_int8.onnx" in theirs.pull_requests[0].files

    def test_a_pull_request_makes_no_repository(self, place: Place, uploads: UploadHub) -> None:
        code, _, err = place.push("--pr")
        assert code == 1
        assert f"there is no model repository {REPO}" in err
        assert "leave --pr out" in err
        assert uploads.repositories == {}

    def test_private_has_no_meaning_for_a_pull_request(self, place: Place) -> None:
        code, _, err = place.push("--pr", "--private")
        assert code == 2
        assert "Give one of them" in err

    @pytest.mark.parametrize(
        "name",
        ["digits", "a/b/c", "../x", "me/..", "me/", "/x", "me/a--b", "me/a.git", "me/a b", "me/-a",
         "me/é", "https://host/me/x", "me/x\n", "me/" + "a" * 97],
    )  # fmt: skip
    def test_what_is_no_name_is_refused_before_anything(
        self, place: Place, uploads: UploadHub, name: str
    ) -> None:
        code, _, err = place.command("push", "no-such-run", "--row", "1", "--repo", name)
        assert code == 2
        assert "is no name of a repository" in err
        assert "owner/name" in err
        assert uploads.requests == []


class TestTokens:
    def test_without_one_it_says_how_to_get_it(
        self, place: Place, uploads: UploadHub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HF_TOKEN")
        code, _, err = place.push()
        assert code == 2
        assert "there is no token" in err
        assert "`hf auth login`" in err
        assert "HF_TOKEN" in err
        assert uploads.requests == []

    def test_a_wrong_one_is_told(
        self, place: Place, uploads: UploadHub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_TOKEN", "hf_Wrong")
        code, _, err = place.push()
        assert code == 1
        assert "refuses the token of this machine (401)" in err
        assert "hf_Wrong" not in err

    @pytest.mark.parametrize("repo", [REPO, "them/digits"])
    def test_one_that_may_not_write_is_told(
        self, place: Place, uploads: UploadHub, repo: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        there = uploads.add(repo)
        monkeypatch.setenv("HF_TOKEN", READ_ONLY)
        code, _, err = place.push(repo=repo)
        assert code == 1
        assert f"may not write to {repo} (403)" in err
        assert len(there.commits) == 1

    @pytest.mark.parametrize(
        "fails", [None, 401, 403, 412, 503], ids=lambda status: f"commit {status}"
    )
    def test_it_is_told_and_written_nowhere(
        self,
        place: Place,
        uploads: UploadHub,
        fails: int | None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(hub, "WAITS_S", ())
        if fails is not None:
            uploads.fail("/commit/", fails)
        _, out, err = place.push()
        assert TOKEN not in out + err
        assert "signature=" not in out + err
        written = [path for path in place.root.rglob("*") if path.is_file()]
        assert not [path for path in written if TOKEN.encode() in path.read_bytes()]
        for repository in uploads.repositories.values():
            for content in repository.head.files.values():
                assert TOKEN.encode() not in content

    def test_offline_nothing_is_published(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        code, _, err = place.push()
        assert code == 2
        assert "Unset HF_HUB_OFFLINE" in err


class TestAHubThatFails:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "folder"
        (folder / "onnx").mkdir(parents=True)
        (folder / "README.md").write_text("---\nlicense: mit\n---\n")
        (folder / "onnx" / "model.onnx").write_bytes(b"a model")
        return folder

    @pytest.fixture
    def publish(self, folder: Path, uploads: UploadHub) -> Callable[..., list[float]]:
        """Publishes the folder; returns the pauses between its tries."""

        def run(*, pull_request: bool = False) -> list[float]:
            pauses: list[float] = []
            to = hub.Destination(REPO, pull_request=pull_request)
            hub.publish(folder, hub.listing(folder), to, "Add it", TOKEN, pauses.append)
            return pauses

        return run

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    @pytest.mark.parametrize(
        "request_", ["/api/repos/create", f"GET /api/models/{REPO}", "/commit/"]
    )
    def test_what_passes_is_waited_for_longer_each_time(
        self,
        publish: Callable[..., list[float]],
        uploads: UploadHub,
        request_: str,
        status: int,
    ) -> None:
        uploads.fail(request_, status, times=3)
        assert publish() == [1.0, 2.0, 4.0]
        assert len(uploads.repositories[REPO].commits) == 2

    @pytest.mark.parametrize(
        "request_", ["/preupload/", "/objects/batch", "PUT /storage/", "/verify"]
    )
    def test_uploads_are_tried_again_by_the_library(
        self,
        publish: Callable[..., list[float]],
        uploads: UploadHub,
        clock: Clock,
        request_: str,
    ) -> None:
        uploads.fail(request_, 503, times=3)
        assert publish() == []
        assert clock.pauses == [1, 2, 4]
        assert uploads.repositories[REPO].head.files["onnx/model.onnx"] == b"a model"

    @pytest.mark.parametrize(
        ("request_", "tries"),
        [("/api/repos/create", 5), ("PUT /storage/", 6), ("/objects/batch", 6), ("/commit/", 5)],
    )
    def test_what_does_not_pass_ends_and_leaves_nothing_half_published(
        self,
        publish: Callable[..., list[float]],
        uploads: UploadHub,
        request_: str,
        tries: int,
    ) -> None:
        uploads.fail(request_, 503)
        with pytest.raises(QuantbenchError, match="answers 503, and did so each time") as caught:
            publish()
        assert "Try again later" in str(caught.value)
        assert uploads.asked(request_) == tries
        for repository in uploads.repositories.values():
            assert [item.message for item in repository.commits] == ["initial commit"]

    def test_after_it_passed_only_what_is_missing_is_sent(
        self, publish: Callable[..., list[float]], uploads: UploadHub
    ) -> None:
        uploads.fail("/commit/", 503, times=5)
        with pytest.raises(QuantbenchError):
            publish()
        assert publish() == []
        assert uploads.asked("PUT /storage/") == 1

    @pytest.mark.parametrize("status", [409, 412])
    def test_a_commit_of_somebody_else_is_told_and_not_buried(
        self, publish: Callable[..., list[float]], uploads: UploadHub, status: int
    ) -> None:
        uploads.fail("/commit/", status)
        with pytest.raises(QuantbenchError, match="somebody else committed to me/digits-int8"):
            publish()
        assert uploads.asked("/commit/") == 1

    def test_a_commit_during_the_upload_is_a_conflict(
        self, publish: Callable[..., list[float]], uploads: UploadHub
    ) -> None:
        there = uploads.add(REPO)
        verified = uploads.verified

        class Verified(set[str]):
            """Somebody commits when the first large file has arrived."""

            def add(self, digest: str) -> None:
                super().add(digest)
                there.commits.append(type(there.head)("f" * 40, "theirs", {}))

        uploads.verified = Verified()
        try:
            with pytest.raises(QuantbenchError, match="somebody else committed"):
                publish()
        finally:
            uploads.verified = verified
        assert there.head.message == "theirs"

    def test_a_pull_request_is_not_made_twice(
        self, publish: Callable[..., list[float]], uploads: UploadHub
    ) -> None:
        uploads.add(REPO)
        uploads.fail("/commit/", 504)
        with pytest.raises(QuantbenchError, match="answers 504"):
            publish(pull_request=True)
        assert uploads.asked("/commit/") == 1

    def test_a_pull_request_that_was_not_made_is_tried_again(
        self, publish: Callable[..., list[float]], uploads: UploadHub
    ) -> None:
        there = uploads.add(REPO)
        uploads.fail("/commit/", 503, times=2)
        assert publish(pull_request=True) == [1.0, 2.0]
        assert len(there.pull_requests) == 1

    def test_metadata_that_the_hub_refuses_is_told(
        self, publish: Callable[..., list[float]], folder: Path, uploads: UploadHub
    ) -> None:
        (folder / "README.md").write_text("# no front matter\n")
        with pytest.raises(QuantbenchError, match="no front matter"):
            publish()
        assert len(uploads.repositories[REPO].commits) == 1

    def test_a_hub_that_is_not_there_is_told(
        self,
        publish: Callable[..., list[float]],
        uploads: UploadHub,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
        with pytest.raises(QuantbenchError, match="the connection to the hub failed"):
            publish()


class TestWhatIsRefused:
    def test_a_row_in_which_nothing_is_quantized(self, place: Place, uploads: UploadHub) -> None:
        code, _, err = place.push(row=2)
        assert code == 1
        assert "row 2 has no file of its own" in err
        assert "the fp32 export stands for it" in err
        assert uploads.requests == []

    def test_a_row_that_has_the_file_of_another(self, place: Place, uploads: UploadHub) -> None:
        code, _, err = place.push(row=3)
        assert code == 1
        assert "it computes the same as row 1" in err
        assert "--row 1" in err
        assert uploads.requests == []

    def test_an_artifact_that_the_store_no_longer_has(
        self, changed: Place, uploads: UploadHub
    ) -> None:
        shutil.rmtree(changed.root / "store" / "artifacts")
        code, _, err = changed.push()
        assert code == 1
        assert "no longer has the file" in err
        assert "quantbench run" in err
        assert uploads.requests == []

    def test_an_unfinished_run(self, changed: Place, uploads: UploadHub) -> None:
        arms = sorted((changed.root / "run" / "arms").glob("*.json"))
        for path in arms:
            found = json.loads(path.read_text())
            if found["arm"]["variant"] and found["same_as"] is None and found["timings"]:
                found["timings"] = []
                path.write_text(json.dumps(found))
        code, _, err = changed.push()
        assert code == 1
        assert "this run is not finished" in err
        assert "quantbench run" in err
        assert uploads.requests == []

    def test_an_imported_card(self, changed: Place, uploads: UploadHub) -> None:
        card = Path(__file__).parents[1] / "data" / "distilbert-squad.card.txt"
        assert changed.command("import", card, "--out", "theirs")[0] == 0
        code, _, err = changed.command("push", "theirs", "--row", "1", "--repo", REPO)
        assert code == 1
        assert "this run is an imported card" in err
        assert uploads.requests == []

    def test_front_matter_that_the_hub_would_refuse(
        self, changed: Place, uploads: UploadHub
    ) -> None:
        card = changed.root / "run" / "README.md"
        card.write_text(card.read_text().replace("---\n", "---\nlicense: mine\n", 1))
        code, _, err = changed.push()
        assert code == 1
        assert "license: the hub knows no 'mine'" in err
        assert uploads.requests == []

    def test_a_license_added_by_hand_is_kept(self, changed: Place, uploads: UploadHub) -> None:
        card = changed.root / "run" / "README.md"
        card.write_text(card.read_text().replace("---\n", "---\nlicense: mit\n", 1))
        code, _, err = changed.push()
        assert code == 0
        assert "license" not in err
        sent = uploads.repositories[REPO].head.files["README.md"].decode()
        assert split_front_matter(sent)[0]["license"] == "mit"

    @pytest.mark.parametrize("name", ["table.parquet", "report.html"])
    def test_a_link_in_the_run_is_not_followed(
        self, changed: Place, uploads: UploadHub, name: str
    ) -> None:
        secret = changed.root / "secret"
        secret.write_text("not for others")
        (changed.root / "run" / name).unlink()
        (changed.root / "run" / name).symlink_to(secret)
        code, _, err = changed.push()
        assert code == 2
        assert "links are not published" in err
        assert uploads.requests == []

    def test_what_else_is_in_the_folder_is_not_published(
        self, changed: Place, uploads: UploadHub
    ) -> None:
        results = changed.root / "run" / "results"
        (results / "notes.txt").write_text("not for others")
        (results / ".hidden.json").write_text("{}")
        assert changed.push()[0] == 0
        sent = uploads.repositories[REPO].head.files
        assert not [name for name in sent if "notes" in name or "hidden" in name]
        assert "log.txt" not in sent
