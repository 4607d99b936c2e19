"""Datasets from the hub: the real libraries and the real code, against a hub on loopback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from machine import Machine

from conftest import ROWS
from fake_hub import TOKEN, FakeHub

NAME = "owner/things"
OFFLINE: dict[str, Any] = {"offline": True}

MakeData = Callable[..., Path]


class TestTheData:
    @pytest.mark.parametrize("form", ["parquet", "json"])
    def test_a_split_is_read_and_pinned_to_the_commit(
        self, hub: FakeHub, machine: Machine, make_data: MakeData, form: str
    ) -> None:
        commit = hub.add("dataset", NAME, make_data(form))
        found = machine.dataset(NAME)
        assert found["rows"] == ROWS
        assert (found["origin"], found["location"]) == ("hub", NAME)
        assert (found["revision"], found["notes"]) == (commit, [])
        assert hub.asked("datasets-server") == 0

    def test_equal_data_has_one_fingerprint_whatever_the_format(
        self, hub: FakeHub, machine: Machine, make_data: MakeData
    ) -> None:
        hub.add("dataset", "owner/one", make_data("parquet"))
        hub.add("dataset", "owner/two", make_data("json"))
        one, two = (machine.dataset(name)["fingerprint"] for name in ("owner/one", "owner/two"))
        assert one == two

    def test_branches_tags_and_commits_are_honoured(
        self, hub: FakeHub, machine: Machine, make_data: MakeData
    ) -> None:
        old = hub.add("dataset", NAME, make_data("parquet"), refs=("main", "v1"))
        new = hub.add("dataset", NAME, make_data("parquet", 10), refs=("main",))
        found = {}
        for revision in ("main", "v1", old, new):
            answer = machine.dataset(NAME, revision=revision)
            found[revision] = (answer["revision"], len(answer["rows"]))
        assert found == {"main": (new, 10), "v1": (old, 40), old: (old, 40), new: (new, 10)}

    @pytest.mark.parametrize("revision", ["v9", "0123456789abcdef0123456789abcdef01234567"])
    def test_an_unknown_revision_is_refused(
        self, hub: FakeHub, machine: Machine, make_data: MakeData, revision: str
    ) -> None:
        hub.add("dataset", NAME, make_data("parquet"))
        machine.dataset(NAME)  # what the cache holds must not answer
        message = machine.refused_dataset(NAME, revision=revision)
        assert f"dataset.revision = {revision}" in message
        assert "no such branch, tag or commit" in message

    def test_an_old_name_is_replaced_and_the_user_told(
        self, hub: FakeHub, machine: Machine, make_data: MakeData
    ) -> None:
        commit = hub.add("dataset", "rajpurkar/squad", make_data("parquet"))
        found = machine.dataset("squad")
        assert (found["revision"], found["location"]) == (commit, "rajpurkar/squad")
        assert found["notes"] == ["the dataset squad is called rajpurkar/squad on the hub today"]

    def test_a_name_that_only_the_hub_knows_to_have_moved_is_too(
        self, hub: FakeHub, machine: Machine, make_data: MakeData
    ) -> None:
        commit = hub.add("dataset", NAME, make_data("parquet"))
        hub.moved["things"] = NAME
        found = machine.dataset("things")
        assert (found["revision"], found["location"]) == (commit, NAME)
        assert found["notes"] == [f"the dataset things is called {NAME} on the hub today"]

    def test_a_name_whose_data_is_in_a_parquet_copy_takes_that(
        self, hub: FakeHub, machine: Machine, make_data: MakeData, tmp_path: Path
    ) -> None:
        script = tmp_path / "script"
        script.mkdir()
        (script / "conll2003.py").write_text("raise SystemExit")
        hub.add("dataset", "eriktks/conll2003", script)
        copy = hub.add(
            "dataset", "eriktks/conll2003", make_data("parquet"), refs=("refs/convert/parquet",)
        )
        assert machine.dataset("conll2003")["revision"] == copy
        message = machine.refused_dataset("eriktks/conll2003", revision="main")
        assert "scripts are not run" in message
        assert "refs/convert/parquet" in message


class TestAccess:
    def test_a_dataset_that_is_not_there(self, hub: FakeHub, machine: Machine) -> None:
        message = machine.refused_dataset(NAME)
        assert f"dataset.path = {NAME}" in message
        assert "no such folder here, and no such dataset on the hub that you may see" in message
        assert "hf auth login" in message

    def test_a_gated_dataset_says_how_to_get_it_and_comes_with_a_token(
        self, hub: FakeHub, machine: Machine, make_data: MakeData
    ) -> None:
        commit = hub.add("dataset", NAME, make_data("parquet"))
        hub.repositories["dataset", NAME].gated = True
        message = machine.refused_dataset(NAME)
        assert "only people who accepted its terms" in message
        assert "hf auth login" in message
        assert machine.dataset(NAME, state={"token": TOKEN})["revision"] == commit


class TestAHubThatFails:
    @pytest.mark.parametrize(
        "match", ["GET /api/", "/tree/", "HEAD", "GET /datasets/owner/things/resolve"]
    )
    def test_a_failure_that_passes_is_not_seen(
        self, hub: FakeHub, machine: Machine, make_data: MakeData, match: str
    ) -> None:
        commit = hub.add("dataset", NAME, make_data("parquet"))
        hub.fail(match, status=503, times=2)
        found = machine.dataset(NAME)
        assert (found["revision"], found["notes"], len(found["rows"])) == (commit, [], 40)
        assert hub.faults[0].times == 0

    @pytest.mark.parametrize("match", ["GET /api/", "/resolve/"])
    def test_one_that_stays_is_one_clear_message(
        self, hub: FakeHub, machine: Machine, make_data: MakeData, match: str
    ) -> None:
        hub.add("dataset", NAME, make_data("parquet"))
        hub.fail(match, status=500)
        assert "500" in machine.refused_dataset(NAME)
        hub.faults.clear()
        assert machine.dataset(NAME)["notes"] == []

    def test_an_interrupted_download_goes_on(
        self, hub: FakeHub, machine: Machine, make_data: MakeData
    ) -> None:
        hub.add("dataset", NAME, make_data("parquet"))
        hub.fail("GET /datasets/owner/things/resolve", cut=1500, times=1)
        assert machine.dataset(NAME)["rows"] == ROWS

    def test_one_that_never_gets_further_is_refused_and_the_next_try_succeeds(
        self, hub: FakeHub, machine: Machine, make_data: MakeData
    ) -> None:
        hub.add("dataset", NAME, make_data("parquet"))
        hub.fail("GET /datasets/owner/things/resolve", cut=0)
        assert "broke off" in machine.refused_dataset(NAME)
        hub.faults.clear()
        assert machine.dataset(NAME)["rows"] == ROWS

    def test_a_file_that_arrives_damaged_is_fetched_again(
        self, hub: FakeHub, machine: Machine, make_data: MakeData
    ) -> None:
        hub.add("dataset", NAME, make_data("parquet"))
        hub.fail("GET /datasets/owner/things/resolve", spoil=True, times=1)
        assert machine.dataset(NAME)["rows"] == ROWS

    def test_one_that_always_does_is_refused_and_not_kept(
        self, hub: FakeHub, machine: Machine, make_data: MakeData
    ) -> None:
        hub.add("dataset", NAME, make_data("parquet"))
        hub.fail("GET /datasets/owner/things/resolve", spoil=True)
        assert "arrived damaged, 3 times" in machine.refused_dataset(NAME)
        hub.faults.clear()
        assert machine.dataset(NAME)["rows"] == ROWS

    def test_a_file_that_is_no_data_is_refused(
        self, hub: FakeHub, machine: Machine, make_data: MakeData
    ) -> None:
        folder = make_data("parquet")
        file = folder / "data" / "validation-00000-of-00001.parquet"
        file.write_bytes(file.read_bytes()[:300])
        hub.add("dataset", NAME, folder)
        assert "Parquet" in machine.refused_dataset(NAME)

    def test_a_disk_that_is_full_during_the_download_is_named(
        self, hub: FakeHub, machine: Machine, make_data: MakeData
    ) -> None:
        hub.add("dataset", NAME, make_data("json"))
        message = machine.refused_dataset(NAME, state={"max_file_bytes": 900})
        assert "does not fit on the disk of" in message
        assert machine.dataset(NAME)["rows"] == ROWS

    def test_so_is_one_that_is_full_when_the_data_is_unpacked(
        self, hub: FakeHub, machine: Machine, tmp_path: Path
    ) -> None:
        from datasets import Dataset

        # Equal values: a small file that becomes a large one.
        rows = Dataset.from_dict({"text": ["the same text"] * 5000, "label": [1] * 5000})
        rows.to_parquet(tmp_path / "small" / "validation.parquet")
        hub.add("dataset", NAME, tmp_path / "small")
        message = machine.refused_dataset(NAME, state={"max_file_bytes": 20_000})
        assert "does not fit on the disk of" in message
        assert len(machine.dataset(NAME)["rows"]) == 5000


class TestWithoutANetwork:
    @pytest.mark.parametrize(
        ("how", "name"), [("offline mode", NAME), ("no connection", "owner/BigThings")]
    )
    def test_what_was_loaded_before_is_found_with_its_commit(
        self, hub: FakeHub, machine: Machine, make_data: MakeData, how: str, name: str
    ) -> None:
        commit = hub.add("dataset", name, make_data("parquet"))
        online = machine.dataset(name)
        hub.stop()
        for revision in (None, "main", commit):
            found = machine.dataset(
                name, revision=revision, state={"offline": how == "offline mode"}
            )
            assert (found["revision"], found["rows"]) == (commit, ROWS)
            assert found["fingerprint"] == online["fingerprint"]
            assert "the hub cannot be reached" in found["notes"][0]
            assert found["pauses"] == []

    @pytest.mark.parametrize("how", ["offline mode", "no connection"])
    def test_nothing_loaded_before_says_what_is_missing_and_how_to_get_it(
        self, hub: FakeHub, machine: Machine, how: str
    ) -> None:
        hub.stop()
        state = {"offline": how == "offline mode"}
        message = machine.refused_dataset("squad", name="plain", state=state)
        assert "the hub cannot be reached" in message
        assert f"{machine.home}/datasets/rajpurkar___squad has no data of it" in message
        assert "datasets.load_dataset('rajpurkar/squad', name='plain')" in message

    def test_another_commit_never_answers_for_the_one_that_is_wanted(
        self, hub: FakeHub, machine: Machine, make_data: MakeData
    ) -> None:
        old = hub.add("dataset", NAME, make_data("parquet"), refs=("main", "v1"))
        machine.dataset(NAME, revision="v1")
        new = hub.add("dataset", NAME, make_data("parquet", 10))
        machine.dataset(NAME)
        message = machine.refused_dataset(NAME, revision=old, state=OFFLINE)
        assert old in message
        assert new in message
        assert "at revision v2" in machine.refused_dataset(NAME, revision="v2", state=OFFLINE)

    @pytest.mark.parametrize(("name", "today"), [(NAME, NAME), ("squad", "rajpurkar/squad")])
    def test_a_local_folder_never_answers_for_a_name_on_the_hub(
        self, hub: FakeHub, machine: Machine, make_data: MakeData, name: str, today: str
    ) -> None:
        folder = machine.directory / name
        shutil.copytree(make_data("json", 5), folder)
        assert machine.dataset(name)["origin"] == "folder"
        shutil.rmtree(folder)
        assert "has no data of it" in machine.refused_dataset(name, state=OFFLINE)
        commit = hub.add("dataset", today, make_data("parquet"))
        for state in ({}, OFFLINE):
            found = machine.dataset(name, state=state)
            assert (found["origin"], found["revision"]) == ("hub", commit)
            assert len(found["rows"]) == 40


def test_a_split_that_is_not_there_lists_those_that_are(
    hub: FakeHub, machine: Machine, make_data: MakeData
) -> None:
    hub.add("dataset", NAME, make_data("parquet"))
    message = machine.refused_dataset(NAME, eval_split="test")
    assert "allowed: train, validation" in message


def test_rows_that_the_card_of_the_dataset_promises_must_be_there(
    hub: FakeHub, machine: Machine, make_data: MakeData
) -> None:
    folder = make_data("json")
    info = {
        "features": [{"name": "text", "dtype": "string"}, {"name": "label", "dtype": "int64"}],
        "splits": [
            {"name": split, "num_bytes": 1, "num_examples": 99} for split in ("train", "validation")
        ],
    }
    (folder / "README.md").write_text(f"---\n{json.dumps({'dataset_info': info})}\n---\n")
    hub.add("dataset", NAME, folder)
    assert "99" in machine.refused_dataset(NAME)
