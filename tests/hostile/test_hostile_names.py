"""Names from outside are text: never a path, markup, a terminal's command, or code."""

import io
import json
import os
import re
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hostile_data import command, control_characters, tree
from hostile_run import CONFIG, make_run, run_config, without_pictures
from markdown_it import MarkdownIt

from fake_backend import FakeBackend
from quantbench import registry
from quantbench.core.config import SWEEPABLE, DatasetConfig
from quantbench.core.config_file import load_yaml, read_config
from quantbench.core.errors import ConfigError, QuantbenchError, UsageError
from quantbench.core.printable import printable
from quantbench.core.results import Failed
from quantbench.data.models import resolve_model
from quantbench.data.rows import Split, load_split
from quantbench.data.sources import find_source
from quantbench.progress import Watcher
from quantbench.run_dir import check_target
from quantbench.tasks.labels import matched_by_number

NAMES = (
    "../../outside/new", "/var/../outside", "..", "a/../../b", "~/x", "file:///etc/passwd", "C:\\x",
    "a\nb", "a\r\n---\n# Title", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "nul\0nul",
    "<script>alert(1)</script>", '<img src=x onerror="alert(1)">', "a|b|c", "`a` ``b``", "```\nout",
    "[a](javascript:alert(1))", "![a](http://host/x.png)", "**bold**", "&lt;script&gt;", "$(id)",
    "; touch x", "`touch x`", "%(x)s {x} {0.__class__}", "[bold red]markup[/x]", "n" * 3000,
    "é🙂\u202ex", "--- !!python/object/apply:os.system [id]", "<!-- comment", "</details>", "-->",
)  # fmt: skip
ALLOWED_TAGS = {"details", "summary", "picture", "source", "img", "br"}


def hostile_config(name: str) -> str:
    """The name in every place of a config that takes any text."""
    data: dict[str, Any] = yaml.safe_load(CONFIG)
    data["model_name_or_path"] = name
    data["model_revision"] = name
    data["dataset"] = {
        "path": name, "name": name, "revision": name, "data_files": {name: [name]},
        "eval_split": name, "calibration_split": name, "cluster_key": name, "ref_keys": [name],
        "data_keys": {"question": name, "context": name},
    }  # fmt: skip
    return yaml.safe_dump(data)


class HostileBackend(FakeBackend):
    """Puts a text in every free place of its answers; one row fails with it."""

    def __init__(self, name: str) -> None:
        super().__init__("quantize static")
        self.text = name

    def _result(self, unit: Mapping[str, Any]) -> dict[str, Any]:
        found = super()._result(unit)
        if unit["stage"] == "prepare":
            places = ("model_name_or_path", "model_id", "model_revision", "model_type",
                      "architecture", "license", "dataset_path", "dataset_id",
                      "dataset_revision")  # fmt: skip
            found["subject"] = found["subject"] | dict.fromkeys(places, self.text)
            found["subject"]["notes"] = [self.text]
            found["notes"] = [self.text]
            found["environment"]["cpu"]["model"] = self.text
            found["environment"]["operating_system"] = self.text
        if found["outcome"] == "failed":
            found |= {"error": self.text, "hint": self.text, "log": self.text}
        if unit["stage"] == "evaluate" and found["outcome"] == "completed":
            answer = {"answer": self.text, "name": self.text}
            found["predictions"] = [answer] * len(found["predictions"])
        if unit["stage"] == "quantize" and found["outcome"] == "completed":
            counts = {"total": 2, "matched": 1, "excluded": 0, "quantized": 1, "left": 1}
            found["nodes"] = {self.text: counts}
            found["executed_nodes"] = {"1": {f"{self.text}Integer": 1}}
        return found


class HostileReport:
    """A report that cannot be written, and says so with a text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def write(self, *_: Any) -> None:
        raise ValueError(self.text)


def html_tags(markdown: str) -> set[str]:
    """The tags that a reader's browser would get from the Markdown itself as HTML."""
    body = markdown.split("\n---\n", 1)[1]
    found: set[str] = set()
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(body):
        parts = [token, *(token.children or ())]
        raw = "".join(part.content for part in parts if part.type in ("html_block", "html_inline"))
        found |= {tag.lower() for tag in re.findall(r"</?([A-Za-z][^\s/>]*|!--)", raw)}
        found |= {
            f"{part.type} {address}"
            for part in parts
            for address in [part.attrs.get("href") or part.attrs.get("src")]
            if address
        }
    return found


@pytest.fixture(scope="module")
def plain_headings(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = tmp_path_factory.mktemp("plain")
    backend = HostileBackend("plain")
    run_config(root, hostile_config("plain"), backend=backend)
    return headings((root / "run" / "README.md").read_text())


def headings(markdown: str) -> list[str]:
    body = markdown.split("\n---\n", 1)[1]
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(body)
    return [
        token.tag
        for token in tokens
        if token.type in ("heading_open", "table_open", "tr_open", "td_open", "th_open", "fence")
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_run_with_hostile_names_writes_nothing_elsewhere_and_a_card_of_plain_text(
    name: str, tmp_path: Path, plain_headings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    without_pictures(monkeypatch)
    (tmp_path / "outside").mkdir()
    root = tmp_path / "a" / "b" / "c"
    root.mkdir(parents=True)
    said = run_config(root, hostile_config(name), "--out", str(root / "run"), "--quiet",
                      backend=HostileBackend(name))  # fmt: skip
    assert said.code == 4, said.err
    assert "Traceback" not in said.err
    new = {path.split("/")[3] for path in tree(tmp_path) if path.startswith("a/b/c/")}
    assert new == {"sweep.yaml", "run", "store"}
    assert set(os.listdir(tmp_path)) == {"a", "outside"}  # noqa: PTH208
    assert not list((tmp_path / "outside").iterdir())
    files = {path for path in tree(root / "run") if "/" not in path}
    assert files <= {"README.md", "arms", "config.yaml", "explained", "log.txt", "pinned.yaml",
                     "plan.json", "plots", "report.html", "results", "run.json", "spent.jsonl",
                     "table.parquet", "summary.jsonl"}  # fmt: skip
    card = (root / "run" / "README.md").read_text()
    assert html_tags(card) <= ALLOWED_TAGS | {"image plots/accuracy_speed-light.svg"}
    assert headings(card) == plain_headings
    front = yaml.safe_load(card.removeprefix("---\n").split("\n---\n")[0])
    assert front["base_model"] == name
    assert front["license"] == name
    again = command("card", str(root / "run"))
    assert (again.code, again.err) == (0, "")


@pytest.mark.parametrize("name", ["\x1b[31mred", "\x1b]0;title\x07", "\x9b31mred"])
@pytest.mark.parametrize("how", ["failed row", "note", "refused", "report", "title of the run"])
def test_no_control_character_reaches_the_terminal(
    name: str, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    match how:
        case "report":
            monkeypatch.setattr(registry, "report", lambda _: HostileReport(name))
            said = run_config(tmp_path, CONFIG)
            assert (said.code, said.err.count("could not be written: ValueError: ")) == (1, 3)
        case "failed row":
            said = run_config(tmp_path, CONFIG, "--out", str(tmp_path / "run"), "--quiet",
                              backend=HostileBackend(name))  # fmt: skip
        case "note":
            said = run_config(tmp_path, CONFIG, backend=HostileBackend(name))
        case "refused":
            said = run_config(tmp_path, CONFIG, backend=FakeBackend(refused=f"split {name}"))
        case _:
            said = run_config(tmp_path, CONFIG, "--out", str(tmp_path / f"run {name}"))
    assert not control_characters(said.out + said.err)
    logs = [path.read_text() for path in tmp_path.glob("*/log.txt")]
    assert len(logs) == (how != "refused")
    assert not control_characters("".join(logs))


def test_no_control_character_reaches_the_card(tmp_path: Path) -> None:
    run_config(tmp_path, CONFIG, "--out", str(tmp_path / "run"), backend=HostileBackend("\x1b[2J"))
    assert not control_characters((tmp_path / "run" / "README.md").read_text())


@pytest.mark.parametrize("parameter", SWEEPABLE)
def test_a_swept_value_is_one_of_a_closed_list(parameter: str) -> None:
    """So that what is made of values (ids, file names) holds nothing from outside."""
    data: dict[str, Any] = yaml.safe_load(CONFIG)
    data.pop("framework_args")
    values = [value for name in NAMES for value in (name, [name], {"a": name})]
    data["benchmarked"] = {parameter: values}
    with pytest.raises(ConfigError) as caught:
        read_config(yaml.safe_dump(data), "", registry.catalog())
    refused = {problem.path.split("]")[0] for problem in caught.value.problems}
    assert refused >= {f"benchmarked.{parameter}[{n}" for n in range(len(values))}


class TestTheNameOfTheRun:
    @pytest.mark.parametrize("name", ["a b", "-x", "é🙂", "$(id)", "a;b", "a'b\"c", "<b>", "a\nb"])
    def test_it_is_a_folder_of_that_name_and_nothing_else(self, name: str, tmp_path: Path) -> None:
        said = run_config(tmp_path, CONFIG, "--out", str(tmp_path / "runs" / name))
        assert said.code == 0
        assert os.listdir(tmp_path / "runs") == [name]  # noqa: PTH208
        assert set(os.listdir(tmp_path)) == {"runs", "store", "sweep.yaml"}  # noqa: PTH208

    @pytest.mark.parametrize("name", ["[bold]x", "[red]x"])
    def test_it_is_no_markup_of_the_terminal(self, name: str, tmp_path: Path) -> None:
        said = run_config(tmp_path, CONFIG, "--out", str(tmp_path / name))
        assert f"{name}: 4 rows" in said.out

    def test_it_is_no_markup_of_the_progress_bar(self) -> None:
        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        stream = Terminal()
        with Watcher("[red]x", stream, quiet=False) as watcher:
            watcher.note("y")
        assert "[red]x" in stream.getvalue()

    @pytest.mark.parametrize("arguments", [["run", "sweep.yaml", "--out"], ["card"]])
    def test_one_that_is_too_long_is_refused(
        self, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("QUANTBENCH_STORE", str(tmp_path / "store"))
        (tmp_path / "sweep.yaml").write_text(CONFIG)
        said = command(*arguments, "n" * 300)
        assert said.code == 2
        assert said.err.startswith("quantbench: ")

    def test_one_in_the_way_is_refused(self, tmp_path: Path) -> None:
        config = read_config(CONFIG, "", registry.catalog())
        (tmp_path / "file").touch()
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "x").touch()
        for name in ("file", "other"):
            with pytest.raises(UsageError):
                check_target(tmp_path / name, config, registry.catalog())


class TestNamesOfModelsAndDatasets:
    ODD = (
        "..", "../..", "./nowhere", "/nowhere", "~/nowhere", "a/b/c", "https://host/model",
        "git+ssh://host/x", "file:///etc", "a b", "a\nb", "nul\0nul", "-x", "--help", "a/../b",
        "bundled:../../x", "bundled:/etc", "bundled:", "<script>", "\x1b[31m", "é", "a..b/c",
        "../x.onnx", "/x.onnx", "a/b/../../../x.onnx", "https://h/x.onnx", "; touch x",
        "$(touch x)", "`touch x`", "| touch x", "x && touch x", "a/b; touch x", "./$(touch x)",
        "bundled:`touch x`",
    )  # fmt: skip
    TOO_LONG = "n" * 5000
    NO_HOME = "~no_such_user_here/x"

    @pytest.fixture(autouse=True)
    def offline(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import datasets.config
        import huggingface_hub.constants

        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        (tmp_path / "a" / "b" / "c").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / "a" / "b" / "c")

    def refused(self, what: str, name: str) -> None:
        dataset = DatasetConfig(path=name, data_keys={"a": "b"}, ref_keys=("c",))
        with pytest.raises(UsageError) as caught:
            _ = resolve_model(name, None) if what == "model" else find_source(dataset)
        assert str(caught.value)

    @pytest.mark.parametrize("what", ["model", "dataset"])
    @pytest.mark.parametrize("name", ODD)
    def test_an_odd_one_is_refused_with_a_message(
        self, what: str, name: str, tmp_path: Path
    ) -> None:
        before = set(tree(tmp_path))
        self.refused(what, name)
        assert {path for path in set(tree(tmp_path)) - before if not path.startswith("cache")} == (
            set()
        )

    @pytest.mark.parametrize("what", ["model", "dataset"])
    @pytest.mark.parametrize("name", [TOO_LONG, NO_HOME], ids=["too long", "no home"])
    def test_one_that_the_system_cannot_look_up_is_refused(self, what: str, name: str) -> None:
        self.refused(what, name)

    @pytest.mark.parametrize(
        "file",
        [
            "https://user:secret@host/x.json",
            "hf://a/b",
            "zip://x::http://h",
            "s3://b/x",
            "file:///x",
        ],
    )
    def test_data_files_of_a_builder_are_local(self, file: str) -> None:
        config = DatasetConfig(
            path="json", data_files={"validation": file}, data_keys={"a": "b"}, ref_keys=("c",)
        )
        with pytest.raises(UsageError, match="must be local"):
            find_source(config)

    def test_data_files_of_a_hub_dataset_are_in_its_repository(self) -> None:
        config = DatasetConfig(
            path="owner/name", data_files={"validation": "https://user:secret@host/x.json"},
            data_keys={"a": "b"}, ref_keys=("c",),
        )  # fmt: skip
        with pytest.raises(UsageError) as caught:
            find_source(config)
        assert "dataset.data_files.validation" in str(caught.value)


class TestNamesInTheData:
    COLUMNS = ("<script>", "\x1b[31mred", "a|b", "../../x", "`", "[bold]", "a\nb")

    def rows(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        import datasets.config

        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        file = tmp_path / "rows.jsonl"
        file.write_text(json.dumps(dict.fromkeys(self.COLUMNS, "<b>\x1b[2J")) + "\n")
        return file

    def load(self, file: Path, column: str) -> Split:
        config = DatasetConfig(
            path="json", data_files={"validation": str(file)}, data_keys={"primary": column},
            ref_keys=(column,), cluster_key=column,
        )  # fmt: skip
        return load_split(config, "validation", "dataset.eval_split")

    def test_any_column_can_be_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = self.rows(tmp_path, monkeypatch)
        for column in self.COLUMNS:
            assert self.load(file, column).row(0)[column] == "<b>\x1b[2J"
        written = {path.split("/")[0] for path in tree(tmp_path)}
        assert written == {"cache", "rows.jsonl"}

    def test_a_message_that_lists_them_is_safe_to_print(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = self.rows(tmp_path, monkeypatch)
        with pytest.raises(ConfigError) as caught:
            self.load(file, "nowhere")
        backend = FakeBackend(refused=str(caught.value))
        said = run_config(tmp_path, CONFIG, backend=backend)
        assert "a|b" in said.err
        assert not control_characters(said.err)

    def test_names_of_classes_are_text_in_the_card(
        self, tmp_path: Path, plain_headings: list[str]
    ) -> None:
        names = ["<script>", "a|b", "`x`", "</details>", "# Title\n\n# Title"]
        note = matched_by_number(names, {n: f"LABEL_{n}" for n in range(len(names))})
        assert note is not None
        root = tmp_path / "run"
        run_config(tmp_path, hostile_config("plain"), "--out", str(root), "--quiet",
                   backend=HostileBackend(note))  # fmt: skip
        card = (root / "README.md").read_text()
        assert html_tags(card) <= ALLOWED_TAGS | {"image plots/accuracy_speed-light.svg"}
        assert headings(card) == plain_headings


class TestNoCodeOfAModelOrDatasetRuns:
    CODE = "from pathlib import Path\nPath({!r}).touch()\nraise SystemExit('ran')\n"

    @pytest.fixture
    def trap(self, tmp_path: Path) -> Path:
        return tmp_path / "trapped"

    def directory(self, tmp_path: Path, trap: Path, model_type: str, classes: str) -> Path:
        """A small model whose every config names code beside it."""
        from tiny_models import build

        folder = tmp_path / "model"
        build("distilbert").save_pretrained(folder)
        for name in ("own", "__init__", "modeling_own", "setup", "conftest"):
            (folder / f"{name}.py").write_text(self.CODE.format(str(trap)))
        config = json.loads((folder / "config.json").read_text())
        own = {
            name: f"own.{name}"
            for name in ("AutoConfig", "AutoModel", "AutoModelForQuestionAnswering",
                         "AutoModelForImageClassification", "AutoImageProcessor", "AutoProcessor")
        }  # fmt: skip
        own_tokenizer = {"AutoTokenizer": ["own.Slow", "own.Fast"]}
        config |= {
            "model_type": model_type,
            "auto_map": own | own_tokenizer,
            "custom_pipelines": {"x": {"impl": "own.Pipe"}},
            "trust_remote_code": True,
        }
        if classes:
            config["architectures"] = [classes]
        (folder / "config.json").write_text(json.dumps(config))
        tokenizer = {"tokenizer_class": "Own", "auto_map": own_tokenizer, "trust_remote_code": True}
        (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
        processor = {"image_processor_type": "Own", "auto_map": own, "trust_remote_code": True}
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
        return folder

    @pytest.mark.parametrize("model_type", ["distilbert", "../own"])
    def test_a_model_with_code_of_its_own_runs_none_of_it(
        self, model_type: str, tmp_path: Path, trap: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from quantbench.runtimes.pytorch import load_model
        from quantbench.tasks.tokenizer import load_tokenizer

        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        folder = self.directory(tmp_path, trap, model_type, "own.OwnForQuestionAnswering")
        monkeypatch.chdir(folder)
        # Whoever asks on a terminal whether code may run must not take this for consent.
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 20))
        source = resolve_model(str(folder), None)
        for load in (
            lambda: load_model(source.directory, "AutoModelForQuestionAnswering"),
            lambda: load_model(source.directory, "AutoModelForImageClassification"),
            lambda: load_tokenizer(source.directory),
        ):
            try:
                load()
            except QuantbenchError as error:
                assert str(error)  # noqa: PT017
        assert not trap.exists()
        with pytest.raises(SystemExit, match="ran"):
            runpy.run_path(str(folder / "own.py"))
        assert trap.exists()

    def test_a_folder_of_data_with_a_script_runs_none_of_it(
        self, tmp_path: Path, trap: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import datasets.config

        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        folder = tmp_path / "data"
        folder.mkdir()
        for name in ("data", "dataset", "__init__"):
            (folder / f"{name}.py").write_text(self.CODE.format(str(trap)))
        (folder / "validation.jsonl").write_text('{"text": "a", "label": 1}\n')
        config = DatasetConfig(path=str(folder), data_keys={"a": "text"}, ref_keys=("label",))
        try:
            find_source(config).read("validation")
        except UsageError as error:
            assert "data" in str(error)  # noqa: PT017
        assert not trap.exists()
        script = config.model_copy(update={"path": str(folder / "data.py")})
        with pytest.raises(UsageError, match="is a file"):
            find_source(script)
        assert not trap.exists()

    def test_the_readme_of_a_model_runs_nothing(self, tmp_path: Path, trap: Path) -> None:
        folder = self.directory(tmp_path, trap, "distilbert", "")
        tag = f"!!python/object/apply:os.system ['touch {trap}']"
        (folder / "README.md").write_text(f"---\nlicense: {tag}\n---\n")
        assert resolve_model(str(folder), None).license is None
        assert not trap.exists()

    @pytest.mark.parametrize(
        "front", ["date: 2024-13-45", "a: !!bool x", "a: !!int ''", "a: " + "[" * 1000]
    )
    def test_a_readme_that_cannot_be_read_names_no_license(
        self, front: str, tmp_path: Path, trap: Path
    ) -> None:
        folder = self.directory(tmp_path, trap, "distilbert", "")
        (folder / "README.md").write_text(f"---\n{front}\nlicense: mit\n---\n")
        assert resolve_model(str(folder), None).license in (None, "mit")

    def test_a_config_json_that_is_nested_too_deeply_is_refused(
        self, tmp_path: Path, trap: Path
    ) -> None:
        folder = self.directory(tmp_path, trap, "distilbert", "")
        (folder / "config.json").write_text('{"a":' * 100_000)
        with pytest.raises(UsageError, match=r"config\.json"):
            resolve_model(str(folder), None)


def test_the_loader_of_yaml_knows_no_tag_of_python() -> None:
    for tag in ("python/object/apply:os.system", "python/name:os.system", "python/module:os"):
        with pytest.raises(ConfigError, match="could not determine a constructor"):
            load_yaml(f"a: !!{tag} [id]", "")


def test_a_failure_is_plain_data() -> None:
    failure = Failed(stage="x", error="<script>\x1b[31m")
    assert Failed.model_validate_json(failure.model_dump_json()) == failure


def test_a_run_leaves_what_is_beside_it_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    assert (tmp_path / "outside" / "precious").read_text() == "{}"
    assert run.is_dir()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\n\tb é🙂", "a\n\tb é🙂"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\x00\r\x7f\x9b", "\\x00\\x0d\\x7f\\x9b"),
        ("abc\u202efed\u2028", "abc\\u202efed\\u2028"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_a_terminal_acts_on_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert not control_characters(printable(text))
