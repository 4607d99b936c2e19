"""Whatever stands in a run's folder: its results come out, or a message that names the file."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hostile_data import ODD_TEXT, changed, changes, command, json_values, tree
from hostile_run import CONFIG, run_config, without_pictures
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fake_backend import FakeBackend
from quantbench import registry, run_dir
from quantbench.core.errors import (
    EXIT_FAILED,
    EXIT_SOME_ROWS_FAILED,
    EXIT_UNDECIDED,
    EXIT_USAGE,
    QuantbenchError,
)
from quantbench.core.results import SweepResult

CATALOG = registry.catalog()
FILES = ("config.yaml", "plan.json", "run.json", "spent.jsonl")


@dataclass(frozen=True)
class Run:
    """A run's folder as it was, and how to get it back."""

    path: Path
    texts: dict[str, bytes]

    def restore(self, *names: str) -> None:
        for name in names:
            path = self.path / name
            if path.is_symlink() or path.is_file():
                path.unlink()
            elif path.is_dir():
                shutil.rmtree(path)
            path.write_bytes(self.texts[name])


@pytest.fixture
def run(run_folder: Path) -> Iterator[Run]:
    raw = sorted(f"arms/{path.name}" for path in (run_folder / "arms").iterdir())
    names = (*FILES, *raw)
    found = Run(run_folder, {name: (run_folder / name).read_bytes() for name in names})
    yield found
    found.restore(*names)


def as_text(data: Any) -> bytes:
    """JSON as Python writes it: with NaN, with lone surrogates escaped."""
    return json.dumps(data).encode()


# What is done to one file: a function from its bytes to others.
Spoil = Callable[[bytes], bytes]


def _json_change(wanted: Any) -> Spoil:
    def spoil(old: bytes) -> bytes:
        lines = old.decode().splitlines()
        try:
            data = json.loads(old)
        except ValueError:  # lines of JSON, or YAML
            place = wanted[0][1] % len(lines)
            try:
                lines[place] = json.dumps(changed(json.loads(lines[place]), wanted))
            except ValueError:
                lines[place] = f"{lines[place].split(':')[0]}: {json.dumps(wanted[0][2])}"
            return "\n".join(lines).encode() + b"\n"
        return as_text(changed(data, wanted))

    return spoil


def _bytes_change(wanted: list[tuple[int, int]]) -> Spoil:
    def spoil(old: bytes) -> bytes:
        new = bytearray(old)
        for place, value in wanted:
            new[place % len(new)] = value
        return bytes(new)

    return spoil


def _number_change(place: int, text: str) -> Spoil:
    """Put another number, in whatever form, at the place of one of the numbers."""

    def spoil(old: bytes) -> bytes:

        found = list(re.finditer(rb"(?<![\w.\"-])-?\d+(\.\d+)?([eE][+-]?\d+)?(?![\w.\"])", old))
        if not found:
            return old
        match = found[place % len(found)]
        return old[: match.start()] + text.encode() + old[match.end() :]

    return spoil


NUMBERS = (
    "NaN", "Infinity", "-Infinity", "1e999", "-1", "0", "-0.0", "1e308", "5e-324", "1" + "0" * 400,
    "9" * 5000, "1.5", "true", "null", '"1"', "[1]", "18446744073709551616", "007", "0x10", "+1",
)  # fmt: skip
WHOLE = (
    b"", b" ", b"\0", b"null", b"[]", b"{}", b"1", b'"x"', b"NaN", b"\xff\xfe", b"\xef\xbb\xbf{}",
    b"[" * 100_000, b'{"a":' * 100_000, b"[" * 150 + b"]" * 150, b'{"schema_version": 99}',
    b'{"schema_version": {}}', b'{"schema_version": 1}', b'{"schema_version": true}', b"{}\n{}\n",
    b"!!python/object/apply:os.system [touch trapped]", b"9" * 10_000, b'"\\ud800"', b"{" * 3,
    "\u2028{}\x85".encode(),
)  # fmt: skip

spoils = st.one_of(
    st.builds(_json_change, changes(json_values)),
    st.builds(_json_change, changes(json_values)),
    st.builds(_json_change, changes(st.sampled_from(ODD_TEXT))),
    st.builds(_number_change, st.integers(0, 5000), st.sampled_from(NUMBERS)),
    st.builds(
        _bytes_change,
        st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 255)), min_size=1, max_size=4),
    ),
    st.integers(0, 20_000).map(lambda end: lambda old: old[: end % (len(old) + 1)]),
    st.integers(0, 20_000).map(lambda at: lambda old: old[at % len(old) :] + old),
    st.sampled_from(WHOLE).map(lambda new: lambda _: new),
    st.sampled_from([lambda old: old + old, lambda old: old + b"\xff", lambda old: b"\xff" + old]),
)


def check_load(run: Run, name: str, spoil: Spoil) -> SweepResult | None:
    """The facts come out, or an error that names the file."""
    (run.path / name).write_bytes(spoil(run.texts[name]))
    try:
        result = run_dir.load_run(run.path, CATALOG)
    except QuantbenchError as error:
        assert str(run.path / name) in str(error)  # noqa: PT017
        return None
    assert isinstance(result, SweepResult)
    # What came in can be kept: it holds nothing that JSON does not have.
    json.loads(result.model_dump_json(), parse_constant=pytest.fail)
    return result


def check_card(run: Run, name: str, spoil: Spoil) -> None:
    """The card is written again, or there is a line that says why not; nothing else is written."""
    (run.path / name).write_bytes(spoil(run.texts[name]))
    before = tree(run.path.parent, without=run.path)
    try:
        said = command("card", str(run.path))
    finally:
        assert tree(run.path.parent, without=run.path) == before
    assert said.code in (0, EXIT_FAILED, EXIT_USAGE)
    assert "Traceback" not in said.out + said.err
    if said.code != 0:
        assert said.err.startswith("quantbench: ")
        assert len(said.err.splitlines()[0]) > len("quantbench: ")


def fuzz(check: Any, run: Run, examples: int, *, repeatable: bool = True) -> None:
    @settings(
        max_examples=examples,
        deadline=20_000,  # a hang; the first picture loads its libraries
        derandomize=repeatable,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(sorted(run.texts)), spoils)
    def once(name: str, spoil: Spoil) -> None:
        try:
            check(run, name, spoil)
        finally:
            run.restore(name)

    once()


def test_a_spoilt_file_is_read_or_named(run: Run) -> None:
    fuzz(check_load, run, 120)


def test_the_card_of_a_spoilt_run_is_written_or_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_pictures(monkeypatch)
    fuzz(check_card, run, 60)


def test_the_card_with_its_pictures_too(run: Run) -> None:
    fuzz(check_card, run, 3)


def check_verdicts(run: Run, name: str, spoil: Spoil) -> None:
    """The run is gated, and compared with what it was; or a line says why not."""
    (run.path / name).write_bytes(spoil(run.texts[name]))
    whole = str(run.path.parent / "whole")
    conditions = ("--max-drop", "1", "--min-speedup", "1", "--max-slowdown", "3%")
    for said in (
        command("gate", str(run.path), "--row", "3", *conditions, "--baseline", whole),
        command("compare", whole, str(run.path), "--shapes"),
    ):
        assert said.code in (0, EXIT_FAILED, EXIT_USAGE, EXIT_UNDECIDED, EXIT_SOME_ROWS_FAILED)
        assert "Traceback" not in said.out + said.err
        assert said.out or said.err.startswith("quantbench: ")


@pytest.fixture
def whole(run: Run) -> Iterator[None]:
    copy = run.path.parent / "whole"
    shutil.copytree(run.path, copy)
    yield
    shutil.rmtree(copy)


@pytest.mark.usefixtures("whole")
def test_a_spoilt_run_is_gated_and_compared_or_refused(run: Run) -> None:
    fuzz(check_verdicts, run, 60)


@pytest.mark.slow
@pytest.mark.usefixtures("whole")
def test_a_spoilt_run_is_gated_and_compared_or_refused_many_times(run: Run) -> None:
    fuzz(check_verdicts, run, 600, repeatable=False)


@pytest.mark.slow
def test_a_spoilt_file_is_read_or_named_many_times(run: Run) -> None:
    fuzz(check_load, run, 8000, repeatable=False)


@pytest.mark.slow
def test_the_card_of_a_spoilt_run_is_written_or_refused_many_times(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_pictures(monkeypatch)
    fuzz(check_card, run, 2500, repeatable=False)


def spoil_with(run: Run, name: str, content: bytes | None) -> None:
    """Put other content in the place of a file; None for a folder."""
    path = run.path / name
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)


def refused(run: Run, name: str) -> str:
    with pytest.raises(QuantbenchError) as caught:
        run_dir.load_run(run.path, CATALOG)
    assert str(run.path / name) in str(caught.value)
    return str(caught.value)


ARM = "arms/original.json"


@pytest.mark.parametrize("name", ["plan.json", "run.json", ARM])
@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"1", b"{}", b"\xff\xfe", b"{" * 50, b'{"schema_version": 2}', None,
     b'{"schema_version": []}', b'{"schema_version": null}', b"9" * 9000],
)  # fmt: skip
def test_a_file_of_results_that_is_none_is_named(
    name: str, content: bytes | None, run: Run
) -> None:
    spoil_with(run, name, content)
    said = refused(run, name)
    told = ("is damaged", "has format version", "is no ordinary file")
    assert any(text in said for text in told)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "null", '"x"'])
def test_a_number_that_json_does_not_have_is_refused(number: str, run: Run) -> None:
    text = run.texts[ARM].decode()
    assert '"f1":90.0' in text
    spoil_with(run, ARM, text.replace('"f1":90.0', f'"f1":{number}').encode())
    assert "is damaged" in refused(run, ARM)


def test_a_folder_without_results_has_a_card_that_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_pictures(monkeypatch)
    for name in run.texts:
        if name.startswith("arms/"):
            (run.path / name).unlink()
    (run.path / "spent.jsonl").unlink()
    assert command("card", str(run.path)).code == 0
    assert (
        "no results" in (run.path / "README.md").read_text().lower()
        or "–" in (run.path / "README.md").read_text()
    )


@pytest.mark.parametrize("content", ["gone", None, b"\xff\xfe"])
def test_a_config_that_cannot_be_read_is_named(content: Any, run: Run) -> None:
    if content == "gone":
        (run.path / "config.yaml").unlink()
    else:
        spoil_with(run, "config.yaml", content)
    refused(run, "config.yaml")


@pytest.mark.parametrize(
    "content", [b"x", b"{}", b"\xff", b"null\n", b'{"stage": ', b"[" * 9000, None]
)
def test_costs_that_cannot_be_read_are_named(content: bytes | None, run: Run) -> None:
    spoil_with(run, "spent.jsonl", content)
    refused(run, "spent.jsonl")


@pytest.mark.parametrize("name", ["plan.json", "run.json", ARM])
@pytest.mark.parametrize("start", ["[", '{"a":'])
def test_json_that_is_nested_too_deeply_is_named(name: str, start: str, run: Run) -> None:
    spoil_with(run, name, start.encode() * 100_000)
    refused(run, name)


def _edited(run: Run, name: str, edit: Callable[[Any], None]) -> None:
    data = json.loads(run.texts[name])
    edit(data)
    spoil_with(run, name, as_text(data))


def _no_metric(arm: Any) -> None:
    arm["evaluation"]["metrics"].pop("f1")


def _no_scores(arm: Any) -> None:
    arm["evaluation"]["per_sample"].pop("f1")


def _fewer_scores(arm: Any) -> None:
    arm["evaluation"]["per_sample"]["f1"].pop()


def _fewer_predictions(arm: Any) -> None:
    arm["evaluation"]["predictions"].pop()


def _no_samples(arm: Any) -> None:
    arm["evaluation"] |= {
        "sample_ids": [], "predictions": [], "per_sample": {"f1": [], "exact_match": []},
    }  # fmt: skip


def _no_blocks(arm: Any) -> None:
    arm["timings"][0]["blocks"] = []


def _no_time(arm: Any) -> None:
    for block in arm["timings"][0]["blocks"]:
        block["samples_ns"] = [0]


def _negative_time(arm: Any) -> None:
    for block in arm["timings"][0]["blocks"]:
        block["samples_ns"] = [-1, -2]


def _endless_time(arm: Any) -> None:
    arm["timings"][0]["blocks"][0]["samples_ns"] = [10**400]


def _itself(arm: Any) -> None:
    arm["same_as"] = arm["arm"]["id"]


def _nobody(arm: Any) -> None:
    arm["same_as"] = "../../outside/precious"


def _no_original(plan: Any) -> None:
    plan["arms"] = [arm for arm in plan["arms"] if arm["role"] != "original"]


def _other_arm(plan: Any) -> None:
    plan["rows"][0]["arm_id"] = "../../outside/precious"


def _other_reference(plan: Any) -> None:
    plan["rows"][0]["reference_id"] = "/etc/passwd"


def _no_rows(plan: Any) -> None:
    plan["rows"] = []


def _other_session_anchor(arm: Any) -> None:
    arm["timings"][0]["reference_id"] = "../../outside/precious"


def _other_cell(arm: Any) -> None:
    arm["timings"][0]["cell"]["batch_size"] = 77


def _huge_metric(arm: Any) -> None:
    arm["evaluation"]["metrics"]["f1"] = 1e308


def _another_arm(arm: Any) -> None:
    arm["arm"]["framework"] = "another"


def _timed_twice(arm: Any) -> None:
    arm["timings"] *= 2


def _rows_of_one_number(plan: Any) -> None:
    plan["rows"] *= 2


@pytest.mark.parametrize(
    ("name", "edit", "told"),
    [
        (ARM, _no_metric, "evaluation: metrics has no f1"),
        (ARM, _no_scores, "evaluation: per_sample.f1 has 0 entries, but num_samples is 6"),
        (ARM, _fewer_scores, "evaluation: per_sample.f1 has 5 entries, but num_samples is 6"),
        (ARM, _fewer_predictions, "evaluation: predictions has 5 entries, but num_samples is 6"),
        (ARM, _no_samples, "evaluation: sample_ids has 0 entries, but num_samples is 6"),
        (ARM, _huge_metric, "evaluation: f1 is 1e+308"),
        (ARM, _no_blocks, "timings: b1-l32: there are no times"),
        (ARM, _no_time, "timings: b1-l32: a forward took 0 to 0 ns"),
        (ARM, _negative_time, "timings: b1-l32: a forward took -2 to -1 ns"),
        (ARM, _endless_time, "timings: b1-l32: a forward took 4000000 to 1000"),
        (ARM, _timed_twice, "timings: b1-l32 is there twice of one session"),
        (ARM, _other_session_anchor, "timings: b1-l32: reference_id names '../../outside/preciou"),
        (ARM, _other_cell, "timings: the cell b77-l32 is not in plan.json"),
        (ARM, _itself, "same_as names 'original', which was not measured itself"),
        (ARM, _nobody, "same_as names '../../outside/precious', of which nothing is known"),
        (ARM, _another_arm, "the arm is another one than that of plan.json"),
        ("plan.json", _no_original, "there is no arm 'original'"),
        ("plan.json", _other_arm, "row 1 names the arm '../../outside/precious', which is not th"),
        ("plan.json", _other_reference, "row 1 names the arm '/etc/passwd', which is not there"),
        ("plan.json", _no_rows, "there are no rows"),
        ("plan.json", _rows_of_one_number, "two rows have one number"),
    ],
)
def test_results_that_contradict_each_other_are_refused_by_name(
    name: str, edit: Callable[[Any], None], told: str, run: Run
) -> None:
    _edited(run, name, edit)
    said = command("card", str(run.path))
    assert said.code == EXIT_FAILED
    assert f"the results contradict each other: {name}: {told}" in said.err


def test_an_arm_in_the_file_of_another_is_named(run: Run) -> None:
    spoil_with(run, ARM, next(text for name, text in run.texts.items() if "level1.json" in name))
    assert "is damaged: it is of 'onnxruntime-" in refused(run, ARM)


class TestNothingIsWrittenOutside:
    @pytest.fixture
    def precious(self, run: Run) -> Iterator[Path]:
        path = run.path.parent / "outside" / "precious"
        yield path
        for name in ("README.md", "table.parquet", "log.txt", "plots", "results", "arms"):
            if (run.path / name).is_symlink():
                (run.path / name).unlink()
        for name in ("results", "arms"):
            (run.path / name).mkdir(exist_ok=True)
        for extra in set(path.parent.iterdir()) - {path}:
            extra.unlink()
        path.write_text("{}")

    def check_untouched(self, precious: Path) -> None:
        assert precious.read_text() == "{}"
        assert list(precious.parent.iterdir()) == [precious]

    def link(self, run: Run, name: str, target: Path) -> None:
        path = run.path / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    @pytest.mark.parametrize("name", [*FILES, ARM])
    def test_a_link_in_the_place_of_a_file_is_only_read(
        self, name: str, run: Run, precious: Path
    ) -> None:
        self.link(run, name, precious)
        assert command("card", str(run.path)).code in (EXIT_FAILED, EXIT_USAGE)
        self.check_untouched(precious)

    def test_the_card_replaces_a_link(
        self, run: Run, precious: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        without_pictures(monkeypatch)
        self.link(run, "README.md", precious)
        assert command("card", str(run.path)).code == 0
        self.check_untouched(precious)

    def test_the_table_replaces_a_link(
        self, run: Run, precious: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        without_pictures(monkeypatch)
        self.link(run, "table.parquet", precious)
        assert command("card", str(run.path)).code == 0
        assert not (run.path / "table.parquet").is_symlink()
        self.check_untouched(precious)

    def test_pictures_replace_links(self, run: Run, precious: Path) -> None:
        (run.path / "plots").mkdir(exist_ok=True)
        names = [f"plots/accuracy_speed-light.{suffix}" for suffix in ("png", "svg")]
        for name in names:
            self.link(run, name, precious)
        try:
            assert command("card", str(run.path)).code == 0
            assert not any((run.path / name).is_symlink() for name in names)
            self.check_untouched(precious)
        finally:
            shutil.rmtree(run.path / "plots")

    @pytest.mark.parametrize("name", ["plots", "arms", "results", "log.txt", "spent.jsonl"])
    def test_links_that_would_be_written_through_are_refused(
        self, name: str, run: Run, precious: Path
    ) -> None:
        self.link(run, name, precious if "." in name else precious.parent)
        config = CONFIG.replace("opset: 11", "opset: 12")
        for said in (
            command("card", str(run.path)),
            run_config(run.path.parent, CONFIG, "--out", str(run.path)),
            run_config(run.path.parent, CONFIG, "--out", str(run.path), "--fresh"),
            run_config(run.path.parent, config, "--out", str(run.path)),
        ):
            assert said.code == EXIT_USAGE
            assert f"{run.path / name} is a link" in said.err
        self.check_untouched(precious)

    def test_lines_are_not_added_through_a_link_that_came_later(
        self, run: Run, precious: Path
    ) -> None:
        folder = run_dir.RunDir(run.path)
        (spent, *_) = folder.read_spent()
        self.link(run, "log.txt", precious)
        with pytest.raises(OSError, match="symbolic links"):
            folder.log("x")
        self.link(run, "spent.jsonl", precious)
        with pytest.raises(OSError, match="symbolic links"):
            folder.add_spent(spent)
        self.check_untouched(precious)

    def test_ids_in_results_are_never_paths(self, run: Run, precious: Path) -> None:
        bad = "../../outside/new"
        for name in run.texts:
            if name.startswith("arms/"):
                data = json.loads(run.texts[name])
                data["arm"]["id"] = bad
                data["arm"]["role"] = "../x"
                data["timings"][0]["session"] = bad
                data["timings"][0]["reference_id"] = bad
                (run.path / name).write_bytes(as_text(data))
        before = set(tree(run.path.parent, without=run.path))
        assert command("card", str(run.path)).code == EXIT_FAILED
        again = run_config(
            run.path.parent, CONFIG, "--out", str(run.path), "--quiet", backend=FakeBackend()
        )
        assert again.code in (0, EXIT_FAILED, EXIT_USAGE)
        assert set(tree(run.path.parent, without=run.path)) == before
        self.check_untouched(precious)
