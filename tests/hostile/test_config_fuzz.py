"""Whatever stands in a config file: a checked config comes out, or a message. Nothing else."""

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hostile_data import (
    ODD_TEXT,
    any_text,
    changed,
    changes,
    command,
    control_characters,
    yaml_values,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantbench import registry
from quantbench.core.config import SweepConfig
from quantbench.core.config_file import read_config
from quantbench.core.errors import ConfigError, QuantbenchError
from quantbench.core.plan import make_plan

ROOT = Path(__file__).parents[2]
CONFIGS = tuple(
    path.read_text()
    for folder in (ROOT / "examples", ROOT / "src" / "quantbench" / "demo")
    for path in sorted(folder.glob("*.yaml"))
)
DATA = tuple(yaml.safe_load(text) for text in CONFIGS)
CATALOG = registry.catalog()
# A grid larger than this is only counted: see test_a_grid_that_explodes.
MOST_ROWS = 500

SNIPPETS = (
    *ODD_TEXT,
    "!!python/object/apply:os.system [touch trapped]", "!!python/name:os.system ''",
    "!!python/module:os", "!custom x", "!!binary aGk=", "!!set {a, b}", "!!omap [a: 1]",
    "!!timestamp 2020-01-01", "!!str {=: 1}", "!!map [a]", "!!seq {a: b}", "!!int x", "!!float x",
    "!!bool x", "!!null x", "!<tag:yaml.org,2002:int> ''", "&a [*a]", "{<<: *a}", "<<: {seed: 1}",
    "<<: [{seed: 1}, {seed: 2}]", "? [a, b]", "? !!str [a]", "%YAML 9.9", "%TAG ! tag:x,2000:",
    "---", "...", "- ", ": ", "{", "[", "]", "}", "'", '"', "|", ">", "#", "@", "`", "\n", "  ",
    "{{{{", "[" * 200, "2024-01-01", "0b_", "0x_", "0o7", "1_000", "_", "1:60:61", "1:60.5",
    '"\\ud800"', '"\\0"', '"\\x9b"', "seed: 1\nseed: 2", "&seed seed", "*seed", "task: [",
)  # fmt: skip
text_changes = st.lists(
    st.tuples(
        st.sampled_from(("insert", "after", "cut", "repeat", "swap", "ends")),
        st.integers(0, 2000),
        st.one_of(st.sampled_from(SNIPPETS), st.text(max_size=6)),
    ),
    min_size=1,
    max_size=3,
)


def changed_text(text: str, wanted: list[tuple[str, int, str]]) -> str:
    for kind, number, snippet in wanted:
        place = number % (len(text) + 1)
        lines = text.split("\n")
        line = number % len(lines)
        match kind:
            case "insert":
                text = text[:place] + snippet + text[place:]
            case "after":  # as the value of a parameter
                head, colon, _ = lines[line].partition(":")
                text = "\n".join([*lines[:line], f"{head}{colon} {snippet}", *lines[line + 1 :]])
            case "cut":
                text = text[:place] + text[place + len(snippet) :]
            case "repeat":
                text = "\n".join([*lines[: line + 1], *lines[line:]])
            case "swap":
                text = "\n".join([*lines[line:], *lines[:line]])
            case _:
                text = text.replace("\n", ("\r\n", "\r", "\u2028", "\x85")[number % 4])
    return text


def as_yaml(data: Any, style: int) -> str:
    text: str = yaml.safe_dump(
        data,
        allow_unicode=style % 2 == 0,
        default_flow_style=(None, True, False)[style % 3],
        width=10**6,
        sort_keys=False,
    )
    return ("", "\ufeff")[style % 5 == 0] + text


def check_read(text: str) -> None:
    """A config and its plan come out, or a message with at least one problem."""
    try:
        config = read_config(text, "sweep.yaml", CATALOG)
    except ConfigError as error:
        assert error.problems  # noqa: PT017
        assert all(problem.message.strip() for problem in error.problems)  # noqa: PT017
        assert str(error).startswith("sweep.yaml: ")  # noqa: PT017
        return
    assert isinstance(config, SweepConfig)
    rows = math.prod(len(values) for values in config.benchmarked.values())
    if rows > MOST_ROWS:
        return
    try:
        plan = make_plan(config, registry.task(config.task).spec)
    except QuantbenchError as error:
        assert str(error)  # noqa: PT017
    else:
        assert len(plan.rows) == rows


def check_command(folder: Path, text: str) -> None:
    """`quantbench plan FILE` ends with 0, or with 2 and a message; nothing is written."""
    path = folder / "sweep.yaml"
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    said = command("plan", str(path))
    assert said.code in (0, 2)
    if said.code == 2:
        assert said.err.startswith("quantbench: ")
        assert len(said.err.splitlines()[0]) > len("quantbench: ")
    else:
        assert not said.err
        assert "rows" in said.out
    assert "Traceback" not in said.out + said.err
    assert os.listdir(folder) == ["sweep.yaml"]  # noqa: PTH208


texts = st.one_of(
    st.text(st.characters(), max_size=200), st.lists(any_text, max_size=20).map("".join)
)
documents = st.builds(as_yaml, yaml_values, st.integers(0, 29))
mutations = st.builds(
    as_yaml,
    st.builds(changed, st.sampled_from(DATA), changes(yaml_values)),
    st.integers(0, 29),
)
text_mutations = st.builds(changed_text, st.sampled_from(CONFIGS), text_changes)
SOURCES = {
    "texts": texts, "documents": documents, "mutations": mutations,
    "text mutations": text_mutations,
}  # fmt: skip


def fuzz(
    check: Any, source: st.SearchStrategy[str], examples: int, *, repeatable: bool = True
) -> None:
    @settings(
        max_examples=examples,
        deadline=10_000,  # a hang, also on a busy machine
        derandomize=repeatable,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(source)
    def run(text: str) -> None:
        check(text)

    run()


@pytest.mark.parametrize("name", SOURCES)
def test_any_text_is_read_or_refused(name: str) -> None:
    fuzz(check_read, SOURCES[name], 120)


@pytest.mark.parametrize("name", SOURCES)
def test_plan_answers_any_file_with_a_plan_or_a_message(name: str, tmp_path: Path) -> None:
    fuzz(lambda text: check_command(tmp_path, text), SOURCES[name], 25)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "examples"),
    [("texts", 2000), ("documents", 2000), ("mutations", 4500), ("text mutations", 4500)],
)
def test_any_text_is_read_or_refused_many_times(name: str, examples: int, tmp_path: Path) -> None:
    fuzz(check_read, SOURCES[name], examples, repeatable=False)
    fuzz(
        lambda text: check_command(tmp_path, text), SOURCES[name], examples // 10, repeatable=False
    )


VALID = CONFIGS[0]


def refused(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_config(text, "sweep.yaml", CATALOG)
    return caught.value


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system ['touch trapped']",
        "!!python/object/apply:pathlib.Path.touch [trapped]",
        "!!python/object/new:os.system ['touch trapped']",
        "!!python/object:builtins.open {file: trapped, mode: w}",
        "!!python/name:os.system ''",
        "!!python/module:os ''",
        "!<tag:yaml.org,2002:python/object/apply:os.system> ['touch trapped']",
    ],
)
@pytest.mark.parametrize("place", ["seed: {}", "{}: 1", "- {}", "? {}\n: 1", "{}"])
def test_a_tag_of_python_runs_nothing(
    tag: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = place.format(tag)
    refused(text)
    refused("%TAG ! tag:yaml.org,2002:python/\n---\nseed: !object/apply:os.system [touch trapped]")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["\ufeff" + VALID, VALID.replace("\n", "\r\n"), VALID + "\n...\n"])
def test_what_editors_add_does_not_matter(text: str) -> None:
    assert read_config(text, "", CATALOG) == read_config(VALID, "", CATALOG)


@pytest.mark.parametrize(
    ("addition", "said"),
    [
        ("seed: 1\nseed: 2\n", "'seed' is given twice"),
        ("seed: &a [*a]\n", "*a is not allowed here"),
        ("seed: " + "[" * 1000, "nested too deeply"),
        ("seed: *nothing\n", "*nothing is not allowed here"),
        ("seed: 0x" + "f" * 9000 + "\n", "cannot be read as a whole number"),
        ("seed: " + "9" * 9000 + "\n", "cannot be read as a whole number"),
        ("seed: " + "9" * 20 + "\n", "at most 9223372036854775807"),
        ("model_revision: " + "x" * 200_000 + "\n", "characters: a config has at most"),
        ("seed: .nan\n", "not JSON compliant"),
        ("seed: 2024-01-01\n", "must be a whole number"),
        ("seed: \x01\n", "unacceptable character"),
        ("--- {}\n", "another document"),
        ("1: 2\n", "must be text"),
        ("seed: !!set {a}\n", "set is not allowed here"),
    ],
)
def test_what_is_not_a_config_is_told(addition: str, said: str) -> None:
    assert said in str(refused(VALID + addition))


def test_what_is_not_a_config_is_told_with_its_place() -> None:
    for value in ("!!bool x", "*nothing", ".inf", '"\\ud800"'):
        (problem,) = refused(f"task: x\nseed: {value}\n").problems
        assert problem.path == "line 2, column 7"


@pytest.mark.parametrize(
    "value",
    [
        "!!bool x",
        '!!bool ""',
        '!!int ""',
        "!!int _",
        "!!int '-'",
        '!!float ""',
        "1" + ":0" * 300 + ".5",
    ],
)
def test_a_scalar_that_does_not_fit_its_tag_is_refused(value: str) -> None:
    (problem,) = refused(f"{VALID}\nseed: {value}\n").problems
    assert "not a valid config" in problem.message
    assert problem.path == f"line {VALID.count(chr(10)) + 2}, column 7"


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
from quantbench.cli import main
sys.exit(main(["plan", sys.argv[1]]))
"""


def plan_with_limits(path: Path) -> "subprocess.CompletedProcess[str]":
    """`quantbench plan` with 1 GiB of memory and 2 s of processor time."""
    return subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def many_times(first: str, again: str, levels: int) -> str:
    """A few lines whose aliases stand for 9 ** levels values."""
    lines = [f"a0: &a0 {first}"]
    for n in range(1, levels + 1):
        nine = ", ".join([f"*a{n - 1}"] * 9)
        lines.append(f"a{n}: &a{n} {again.format(nine)}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(many_times("[x]", "[{}]", 9), id="aliases"),
        pytest.param(many_times("{x: 1}", "{{<<: [{}]}}", 9), id="merges"),
    ],
)
def test_aliases_of_aliases_are_refused_at_once(text: str, tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    ended = plan_with_limits(path)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr) < 20_000


def test_a_grid_that_explodes_is_refused_at_once(tmp_path: Path) -> None:
    config = dict(DATA[0])
    for name in ("calibration", "framework_args", "per_channel", "aware_training", "framework"):
        config.pop(name, None)
    config["benchmarked"] = {
        "per_channel": [False, True],
        "quantization_approach": ["dynamic", "static"],
        "calibration.num_calibration_samples": list(range(1, 5000)),
        "framework_args.opset": list(range(11, 21)),
        "framework_args.optimization_level": [0, 1, 2, 99],
    }
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(config))
    ended = plan_with_limits(path)
    assert ended.returncode == 2
    assert "makes 799,840 rows: 4,999 of calibration.num_calibration_samples × " in ended.stderr
    assert " × 2 of quantization_approach\n" in ended.stderr
    assert "allowed: 10,000 rows" in ended.stderr


@pytest.mark.parametrize("name", ["batch_sizes", "input_lengths"])
def test_more_shapes_than_anyone_times_are_refused(name: str) -> None:
    text = yaml.safe_dump({**DATA[0], name: list(range(1, 102))})
    assert f"{name} = [1, 2, 3, " in str(refused(text))
    assert "has more than 100 values" in str(refused(text))


def test_a_long_list_of_problems_is_told_in_part() -> None:
    text = VALID + "".join(f"unknown_{n}: 1\n" for n in range(200))
    assert len(refused(text).problems) == 200
    assert len(str(refused(text))) < 50_000
    assert "… and 150 more" in str(refused(text))


def test_a_number_of_samples_that_no_dataset_has_is_planned_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(VALID.replace("max_eval_samples: 1000", "max_eval_samples: 1" + "0" * 400))
    assert "max_eval_samples: 1000" in VALID
    said = command("plan", str(path))
    assert said.code == 2
    assert "allowed: at least 1, at most 2147483647" in said.err
    assert len(said.err) < 1000


@pytest.mark.parametrize("value", ["\x1b[31m", "\x1b]0;title\x07", "\x00", "\x08"])
def test_a_value_with_control_characters_is_shown_escaped(value: str, tmp_path: Path) -> None:
    config = {**DATA[0], "task": value, "framework": value, "sampling": value, "metrics": [value]}
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(config))
    said = command("plan", str(path))
    assert said.code == 2
    assert not control_characters(said.err)


@pytest.mark.parametrize("text", ["\x1b[31mred", "\x9b31mred", "\x1b]0;title\x07"])
@pytest.mark.parametrize("place", ["name", "nested name", "swept name", "data key", "value"])
def test_a_name_with_control_characters_is_shown_escaped(
    text: str, place: str, tmp_path: Path
) -> None:
    config: dict[str, Any] = yaml.safe_load(VALID)
    match place:
        case "name":
            config[text] = 1
        case "nested name":
            config["dataset"][text] = 1
        case "swept name":
            config["benchmarked"][text] = [1]
        case "data key":
            config["dataset"]["data_keys"][text] = "x"
        case _:
            config["task"] = "\x9b31mred"
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(config))
    said = command("plan", str(path))
    assert said.code == 2
    assert not control_characters(said.err)


def test_a_very_long_value_is_shown_in_part(tmp_path: Path) -> None:
    said = str(refused(VALID.replace("question-answering", "q" * 100_000)))
    assert f'task = "{"q" * 100}' in said
    assert len(said) < 1000
    assert len(str(refused(VALID + "k" * 1000 + ": 1\n"))) < 2000


def test_an_unpaired_surrogate_is_refused_with_its_place() -> None:
    (problem,) = refused(VALID + '\nmodel_revision: "\\ud800"\n').problems
    assert problem.path.startswith("line ")
    assert "surrogates not allowed" in problem.message
