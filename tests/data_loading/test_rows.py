"""Loading a split, and what is said when it cannot be."""

import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from quantbench.core.config import DatasetConfig
from quantbench.core.errors import ConfigError, Problem, UsageError
from quantbench.data import bundled
from quantbench.data.rows import Split, SplitParameter, load_split

MakeConfig = Callable[..., DatasetConfig]
WriteJsonl = Callable[[Path, list[dict[str, Any]]], Path]

ROWS = [{"text": "one", "label": "a"}, {"text": "two", "label": "b"}]


def problems_of(
    dataset: Any, split: str = "validation", parameter: SplitParameter = "dataset.eval_split"
) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load_split(dataset, split, parameter)
    return caught.value.problems


@pytest.fixture
def files(tmp_path: Path, write_jsonl: WriteJsonl, dataset_config: MakeConfig) -> DatasetConfig:
    """A config for a JSON file with two rows."""
    path = write_jsonl(tmp_path / "rows.jsonl", ROWS)
    return dataset_config("json", data_files={"validation": str(path)})


def load(dataset: Any, split: str = "validation") -> Split:
    return load_split(dataset, split, "dataset.eval_split")


class TestWhereItComesFrom:
    def test_files_are_read_with_the_builder_that_is_named(self, files: DatasetConfig) -> None:
        split = load(files)
        assert (split.num_rows, split.columns, split.origin) == (2, ("text", "label"), "files")
        assert list(split.rows) == ROWS
        assert split.revision is None

    def test_csv_and_parquet_files_are_read_too(
        self, tmp_path: Path, dataset_config: MakeConfig
    ) -> None:
        from datasets import Dataset

        rows = Dataset.from_list(ROWS)
        rows.to_csv(tmp_path / "rows.csv")
        rows.to_parquet(tmp_path / "rows.parquet")
        for builder in ("csv", "parquet"):
            path = str(tmp_path / f"rows.{builder}")
            assert list(load(dataset_config(builder, data_files={"validation": path})).rows) == ROWS

    def test_a_folder_of_files_is_read(
        self, write_jsonl: WriteJsonl, dataset_config: MakeConfig, tmp_path: Path
    ) -> None:
        write_jsonl(tmp_path / "folder" / "validation.jsonl", ROWS)
        split = load(dataset_config(str(tmp_path / "folder")))
        assert (split.origin, split.location) == ("folder", str(tmp_path / "folder"))
        assert split.num_rows == 2

    def test_a_folder_written_by_save_to_disk_is_read(
        self, tmp_path: Path, dataset_config: MakeConfig
    ) -> None:
        from datasets import Dataset, DatasetDict

        DatasetDict(validation=Dataset.from_list(ROWS)).save_to_disk(tmp_path / "saved")
        split = load(dataset_config(str(tmp_path / "saved")))
        assert (split.origin, list(split.rows)) == ("folder", ROWS)

    def test_a_single_split_written_by_save_to_disk_counts_as_train(
        self, tmp_path: Path, dataset_config: MakeConfig
    ) -> None:
        from datasets import Dataset

        Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
        config = dataset_config(str(tmp_path / "saved"))
        assert load(config, "train").num_rows == 2
        assert problems_of(config)[0].allowed == "train"

    def test_an_image_folder_gives_pictures_and_class_names(
        self, tmp_path: Path, dataset_config: MakeConfig
    ) -> None:
        for name in ("dog", "cat"):
            (tmp_path / "images" / name).mkdir(parents=True)
            Image.new("RGB", (4, 4), "red").save(tmp_path / "images" / name / "one.png")
        config = dataset_config(
            "imagefolder",
            data_files={"validation": str(tmp_path / "images" / "**")},
            data_keys={"primary": "image"},
        )
        split = load(config)
        assert split.label_names("label") == ("cat", "dog")
        assert split.label_names("image") is None
        assert split.rows[0]["image"].size == (4, 4)

    def test_lists_of_class_labels_have_class_names_too(
        self, tmp_path: Path, dataset_config: MakeConfig
    ) -> None:
        from datasets import ClassLabel, Dataset, Features, LargeList, List, Value

        tags = ClassLabel(names=["O", "B-PER"])
        features = Features({"few": List(tags), "many": LargeList(tags), "n": List(Value("int8"))})
        rows = Dataset.from_dict({"few": [[0, 1]], "many": [[1]], "n": [[1]]}, features=features)
        rows.save_to_disk(tmp_path / "saved")
        config = dataset_config(
            str(tmp_path / "saved"), data_keys={"tokens": "few"}, ref_keys=("many",)
        )
        split = load(config, "train")
        assert split.class_names == {"few": ("O", "B-PER"), "many": ("O", "B-PER")}

    def test_bundled_data_is_read_from_the_package(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        write_jsonl: WriteJsonl,
        dataset_config: MakeConfig,
    ) -> None:
        monkeypatch.setattr(bundled, "assets_directory", lambda: tmp_path)
        write_jsonl(tmp_path / "questions" / "data" / "validation.jsonl", ROWS)
        split = load(dataset_config("bundled:questions"))
        assert (split.origin, split.location) == ("bundled", "bundled:questions")

    def test_only_the_known_names_are_bundled(self, dataset_config: MakeConfig) -> None:
        (problem,) = problems_of(dataset_config("bundled:../questions"))
        assert problem.path == "dataset.path"
        assert problem.allowed == "bundled:questions, bundled:digits"
        assert problem.nearest == "bundled:questions"

    def test_nothing_is_printed(
        self, files: DatasetConfig, capfd: pytest.CaptureFixture[str]
    ) -> None:
        load(files)
        assert capfd.readouterr() == ("", "")

    def test_the_libraries_bars_come_back(self, files: DatasetConfig) -> None:
        import datasets

        datasets.enable_progress_bars()
        load(files)
        assert not datasets.are_progress_bars_disabled()


class TestTheHub:
    def cache(
        self, tmp_path: Path, write_jsonl: WriteJsonl, name: str, folder_hash: str | None
    ) -> None:
        """Put data into the cache the way the datasets library does."""
        import datasets

        write_jsonl(tmp_path / "origin" / name / "validation.jsonl", ROWS)
        builder = datasets.load_dataset_builder(str(tmp_path / "origin" / name))
        builder.download_and_prepare()
        if folder_hash is not None:
            target = tmp_path / "datasets_cache" / f"owner___{name}" / "default" / "0.0.0"
            target.mkdir(parents=True)
            shutil.move(builder.cache_dir, target / folder_hash)

    def test_cached_hub_data_is_used_offline_with_its_commit(
        self, tmp_path: Path, write_jsonl: WriteJsonl, dataset_config: MakeConfig
    ) -> None:
        self.cache(tmp_path, write_jsonl, "things", "ab" * 20)
        split = load(dataset_config("owner/things"))
        assert (split.origin, split.location) == ("hub", "owner/things")
        assert split.revision == "ab" * 20

    def test_a_cached_local_folder_never_answers_for_a_hub_name(
        self, tmp_path: Path, write_jsonl: WriteJsonl, dataset_config: MakeConfig
    ) -> None:
        self.cache(tmp_path, write_jsonl, "things", None)
        (problem,) = problems_of(dataset_config("things"))
        assert problem.path == "dataset.path"
        assert "not from the hub" in problem.message

    def test_loading_a_folder_leaves_nothing_that_could_answer_for_the_hub(
        self, tmp_path: Path, write_jsonl: WriteJsonl, dataset_config: MakeConfig
    ) -> None:
        write_jsonl(tmp_path / "work" / "squad" / "validation.jsonl", ROWS)
        assert load(dataset_config("squad")).origin == "folder"
        shutil.rmtree(tmp_path / "work" / "squad")
        (problem,) = problems_of(dataset_config("squad"))
        assert "hub cannot be reached" in problem.message
        assert "not from the hub" not in problem.message

    def test_a_name_that_is_nowhere_says_how_to_get_it(self, dataset_config: MakeConfig) -> None:
        (problem,) = problems_of(dataset_config("beans"))
        assert (problem.path, problem.given) == ("dataset.path", "beans")
        assert "no folder of that name is here" in problem.message
        assert "datasets.load_dataset('AI-Lab-Makerere/beans')" in problem.message

    def test_a_name_that_cannot_be_on_the_hub_is_refused(self, dataset_config: MakeConfig) -> None:
        (problem,) = problems_of(dataset_config("a/b/c"))
        assert "neither a folder that exists here nor a name on the hub" in problem.message


class TestBadInput:
    def test_a_path_that_does_not_exist(self, dataset_config: MakeConfig) -> None:
        (problem,) = problems_of(dataset_config("./nothing"))
        assert problem.path == "dataset.path"
        assert problem.message.startswith("does not exist")

    def test_a_file_as_path_points_to_builders(
        self, tmp_path: Path, dataset_config: MakeConfig, write_jsonl: WriteJsonl
    ) -> None:
        path = write_jsonl(tmp_path / "rows.jsonl", ROWS)
        (problem,) = problems_of(dataset_config(str(path)))
        assert "is a file" in problem.message
        assert "data_files" in problem.message

    def test_a_missing_split_lists_the_splits_and_the_nearest(self, files: DatasetConfig) -> None:
        (problem,) = problems_of(files, "validatoin")
        assert (problem.path, problem.given) == ("dataset.eval_split", "validatoin")
        assert (problem.allowed, problem.nearest) == ("validation", "validation")

    def test_a_missing_calibration_split_is_named_as_such(self, files: DatasetConfig) -> None:
        (problem,) = problems_of(files, "train", "dataset.calibration_split")
        assert problem.path == "dataset.calibration_split"

    def test_all_missing_columns_are_named_at_once(self, files: DatasetConfig) -> None:
        wrong = files.model_copy(
            update={
                "data_keys": {"primary": "Txet"},
                "ref_keys": ("labels",),
                "cluster_key": "context",
            }
        )
        problems = problems_of(wrong)
        assert [(p.path, p.nearest) for p in problems] == [
            ("dataset.data_keys.primary", "text"),
            ("dataset.ref_keys[0]", "label"),
            ("dataset.cluster_key", "text"),
        ]
        assert all(p.allowed == "text, label" for p in problems)

    def test_calibration_needs_no_references(self, files: DatasetConfig) -> None:
        unlabelled = files.model_copy(update={"ref_keys": ("missing",)})
        assert load_split(unlabelled, "validation", "dataset.calibration_split").num_rows == 2

    def test_a_builder_needs_files(self, dataset_config: MakeConfig) -> None:
        assert problems_of(dataset_config("json"))[0].path == "dataset.data_files"

    def test_files_that_are_not_there(self, dataset_config: MakeConfig) -> None:
        config = dataset_config("json", data_files={"validation": "nothing.jsonl"})
        (problem,) = problems_of(config)
        assert problem.path == "dataset.data_files"
        assert "nothing.jsonl" in problem.message

    def test_files_elsewhere_are_refused(self, dataset_config: MakeConfig) -> None:
        config = dataset_config("json", data_files={"validation": "https://example.org/a.json"})
        (problem,) = problems_of(config)
        assert problem.path == "dataset.data_files.validation"
        assert "must be local" in problem.message

    def test_files_that_cannot_be_read(self, tmp_path: Path, dataset_config: MakeConfig) -> None:
        (tmp_path / "bad.jsonl").write_text('{"text": 1\n{"text": 2}\n')
        config = dataset_config("json", data_files={"validation": str(tmp_path / "bad.jsonl")})
        (problem,) = problems_of(config)
        assert problem.path == "dataset.data_files"
        assert "JSON parse error" in problem.message

    def test_parameters_that_would_be_ignored_are_refused(self, files: DatasetConfig) -> None:
        wrong = files.model_copy(update={"revision": "main", "name": "plain"})
        assert {p.path for p in problems_of(wrong)} == {"dataset.revision", "dataset.name"}

    def test_several_configurations_ask_for_a_name(
        self, tmp_path: Path, write_jsonl: WriteJsonl, dataset_config: MakeConfig
    ) -> None:
        write_jsonl(tmp_path / "several" / "validation.jsonl", ROWS)
        (tmp_path / "several" / "README.md").write_text(
            "---\nconfigs:\n- config_name: first\n  data_files: validation.jsonl\n"
            "- config_name: second\n  data_files: validation.jsonl\n---\n"
        )
        (problem,) = problems_of(dataset_config(str(tmp_path / "several")))
        assert problem.path == "dataset.name"
        assert re.search("first.*second", problem.message)


class TestFingerprint:
    def fingerprint(self, config: DatasetConfig) -> str:
        return load(config).fingerprint

    def test_it_is_the_same_for_the_same_data_in_another_format(
        self, files: DatasetConfig, tmp_path: Path, dataset_config: MakeConfig
    ) -> None:
        from datasets import Dataset

        Dataset.from_list(ROWS).to_parquet(tmp_path / "rows.parquet")
        other = dataset_config("parquet", data_files={"validation": str(tmp_path / "rows.parquet")})
        assert self.fingerprint(files) == self.fingerprint(other)

    def test_it_does_not_depend_on_unused_columns_or_places(
        self,
        files: DatasetConfig,
        tmp_path: Path,
        dataset_config: MakeConfig,
        write_jsonl: WriteJsonl,
    ) -> None:
        path = write_jsonl(tmp_path / "b" / "x.jsonl", [row | {"id": 3} for row in ROWS])
        other = dataset_config("json", data_files={"validation": str(path)})
        assert self.fingerprint(files) == self.fingerprint(other)

    @pytest.mark.parametrize(
        "rows", [ROWS[::-1], ROWS[:1], [ROWS[0], {"text": "two", "label": "c"}]]
    )
    def test_it_changes_with_values_order_and_number(
        self,
        files: DatasetConfig,
        rows: list[dict[str, Any]],
        tmp_path: Path,
        dataset_config: MakeConfig,
        write_jsonl: WriteJsonl,
    ) -> None:
        path = write_jsonl(tmp_path / "other.jsonl", rows)
        other = dataset_config("json", data_files={"validation": str(path)})
        assert self.fingerprint(files) != self.fingerprint(other)

    def test_it_is_this_value_on_every_machine(self, files: DatasetConfig) -> None:
        assert self.fingerprint(files) == KNOWN_FINGERPRINT

    def test_images_count_by_their_bytes_not_by_their_files(
        self, tmp_path: Path, dataset_config: MakeConfig
    ) -> None:
        from datasets import Dataset, Features
        from datasets import Image as ImageFeature

        buffer = io.BytesIO()
        Image.new("RGB", (4, 4), "blue").save(buffer, format="PNG")
        features = Features({"image": ImageFeature()})
        (tmp_path / "one.png").write_bytes(buffer.getvalue())
        by_path = Dataset.from_dict({"image": [str(tmp_path / "one.png")]}, features=features)
        by_bytes = Dataset.from_dict(
            {"image": [{"bytes": buffer.getvalue(), "path": "other.png"}]}, features=features
        )
        found = []
        for number, rows in enumerate((by_path, by_bytes)):
            rows.save_to_disk(tmp_path / str(number))
            config = dataset_config(
                str(tmp_path / str(number)), data_keys={"primary": "image"}, ref_keys=("image",)
            )
            found.append(load_split(config, "train", "dataset.eval_split").fingerprint)
        assert found[0] == found[1]

    @pytest.mark.parametrize("in_lists", [False, True])
    def test_class_names_count(
        self, tmp_path: Path, dataset_config: MakeConfig, in_lists: bool
    ) -> None:
        from datasets import ClassLabel, Dataset, Features, List, Value

        found = set()
        for names in (["a", "b"], ["b", "a"]):
            label = ClassLabel(names=names)
            kind = List(label) if in_lists else label
            features = Features({"text": Value("string"), "label": kind})
            values = [[0]] if in_lists else [0]
            rows = Dataset.from_dict({"text": ["one"], "label": values}, features=features)
            rows.save_to_disk(tmp_path / names[0])
            config = dataset_config(str(tmp_path / names[0]))
            found.add(load_split(config, "train", "dataset.eval_split").fingerprint)
        assert len(found) == 2


KNOWN_FINGERPRINT = "f7c8930fef5df86750463a35e354009e3ad3ee984abd2f11f1a6d5903d9e8cbe"


def test_a_damaged_image_is_named_by_its_row(
    tmp_path: Path, dataset_config: Callable[..., DatasetConfig]
) -> None:
    for name in ("one", "two"):
        folder = tmp_path / "pictures" / "validation" / name
        folder.mkdir(parents=True)
        (folder / "damaged.png").write_bytes(b"no picture")
    path = str(tmp_path / "pictures")
    config = dataset_config(path, data_keys={"primary": "image"}, ref_keys=("label",))
    split = load_split(config, "validation", "dataset.eval_split")
    with pytest.raises(ConfigError, match=r"row 0 \(the first is 0\) cannot be read"):
        split.row(0)
    assert [set(row) for row in split.without_images([0])] == [{"label"}]


class TestDataWithoutRows:
    """The library's own errors for it say something else, or nothing."""

    def empty(self, folder: Path, form: str) -> Path:
        import pyarrow
        import pyarrow.parquet

        folder.mkdir(exist_ok=True)
        path = folder / f"validation.{form}"
        if form == "parquet":
            columns = {name: pyarrow.array([], pyarrow.string()) for name in ("text", "label")}
            pyarrow.parquet.write_table(pyarrow.table(columns), path)
        else:
            path.write_text({"json": "[]", "jsonl": "\n", "csv": "text,label\n"}[form])
        return path

    @pytest.mark.parametrize("form", ["json", "jsonl", "csv", "parquet"])
    @pytest.mark.parametrize("beside", [True, False])
    def test_a_split_without_rows_is_named(
        self, tmp_path: Path, dataset_config: MakeConfig, form: str, beside: bool
    ) -> None:
        from datasets import Dataset

        files = {"validation": str(self.empty(tmp_path / "data", form))}
        if beside:
            files["train"] = str(tmp_path / f"train.{form}")
            rows = Dataset.from_list(ROWS)
            write = {"csv": rows.to_csv, "parquet": rows.to_parquet}.get(form, rows.to_json)
            write(files["train"])
        builder = form.removesuffix("l") if form == "jsonl" else form
        (problem,) = problems_of(dataset_config(builder, data_files=files))
        assert problem.path == "dataset.data_files.validation"
        assert problem.message.startswith("the split has no rows")

    @pytest.mark.parametrize("form", ["json", "csv", "parquet"])
    def test_so_is_one_in_a_folder(
        self, tmp_path: Path, dataset_config: MakeConfig, form: str
    ) -> None:
        self.empty(tmp_path / "data", form)
        (problem,) = problems_of(dataset_config(str(tmp_path / "data")))
        assert problem.path == "dataset.path"
        assert problem.message.startswith("the split has no rows")

    def test_what_only_reading_shows_is_named_by_the_split(
        self, tmp_path: Path, dataset_config: MakeConfig
    ) -> None:
        path = tmp_path / "rows.txt"  # a table, though its name does not say so
        path.write_text("text,label\n")
        (problem,) = problems_of(dataset_config("csv", data_files={"validation": str(path)}))
        assert (problem.path, problem.given) == ("dataset.eval_split", "validation")
        assert problem.message == "the split has no rows"

    @pytest.mark.parametrize("form", ["json", "csv", "parquet"])
    def test_a_file_without_bytes_is_named(
        self, tmp_path: Path, dataset_config: MakeConfig, form: str
    ) -> None:
        path = tmp_path / "data" / f"validation.{form}"
        path.parent.mkdir()
        path.touch()
        for config, parameter in (
            (dataset_config(form, data_files={"validation": str(path)}), "data_files.validation"),
            (dataset_config(str(path.parent)), "path"),
        ):
            (problem,) = problems_of(config)
            assert problem.path == f"dataset.{parameter}"
            assert f"{path} is empty (0 bytes)" in problem.message

    def test_a_pattern_that_matches_nothing_is_named(
        self, tmp_path: Path, dataset_config: MakeConfig
    ) -> None:
        files = {"validation": str(tmp_path / "nowhere*.jsonl")}
        (problem,) = problems_of(dataset_config("json", data_files=files))
        assert "no file of that name is here" in problem.message


@pytest.mark.parametrize("path", ["n" * 5000, "~no_such_user/data"])
def test_a_path_that_cannot_be_looked_up_is_refused(dataset_config: MakeConfig, path: str) -> None:
    with pytest.raises(UsageError, match=r"dataset\.path = .* cannot be looked up"):
        load(dataset_config(path))


def test_data_files_of_a_hub_dataset_are_no_addresses(dataset_config: MakeConfig) -> None:
    config = dataset_config("owner/name", data_files={"validation": "https://host/rows.json"})
    (problem,) = problems_of(config)
    assert problem.path == "dataset.data_files.validation"
    assert "must be in its repository" in problem.message


def test_lists_of_classes_have_names_too(tmp_path: Path, dataset_config: MakeConfig) -> None:
    from datasets import ClassLabel, Dataset, Features, List, Value

    features = Features({"text": Value("string"), "label": List(ClassLabel(names=["a", "b"]))})
    rows = Dataset.from_list([{"text": "one", "label": [1, 0]}], features=features)
    rows.to_parquet(tmp_path / "rows.parquet")
    files = {"validation": str(tmp_path / "rows.parquet")}
    split = load(dataset_config("parquet", data_files=files))
    assert split.label_names("label") == ("a", "b")
    assert split.label_names("text") is None
