"""The package has no way to run what a name, a file or a config says."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hostile_run import CONFIG

from quantbench import registry
from quantbench.core.config_file import read_config
from quantbench.core.errors import ConfigError

SOURCES = sorted((Path(__file__).parents[2] / "src").rglob("*.py"))
NEVER_CALLED = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "runpy.run_path"),
    *("importlib.import_module", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "shelve.open"),
    *("joblib.load", "yaml.full_load", "yaml.unsafe_load", "cloudpickle.load"),
}
# Functions that run code unless they are told not to, and what they must be told.
MUST_BE_TOLD = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "from_pretrained": ("trust_remote_code", False),
}
NEVER_TOLD = {"shell": True, "trust_remote_code": True, "weights_only": False, "allow_pickle": True}


def dangers(text: str) -> Iterator[str]:
    """Every call in a source that could run what it is given."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        told = {
            item.arg: item.value.value if isinstance(item.value, ast.Constant) else "unknown"
            for item in node.keywords
        }
        if name in NEVER_CALLED or name.startswith("os.exec"):
            yield name
        for short, (keyword, value) in MUST_BE_TOLD.items():
            if (name == short or name.endswith(f".{short}")) and told.get(keyword) is not value:
                yield f"{name} without {keyword}={value}"
        for keyword, value in NEVER_TOLD.items():
            if told.get(keyword, not value) is not (not value):
                yield f"{name} with {keyword}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_source_calls_what_runs_its_arguments(path: Path) -> None:
    assert list(dangers(path.read_text())) == []


@pytest.mark.parametrize(
    "text",
    ["eval(x)", "os.system(x)", "subprocess.run(x, shell=True)", "pickle.load(x)",
     "subprocess.run(x, shell=y)", "torch.load(x)", "torch.load(x, weights_only=False)",
     "np.load(x)", "np.load(x, allow_pickle=True)", "os.execvp(x, y)", "A.from_pretrained(x)",
     "A.from_pretrained(x, trust_remote_code=True)", "f(trust_remote_code=y)"],
)  # fmt: skip
def test_each_of_them_would_be_seen(text: str) -> None:
    assert list(dangers(text))


@pytest.mark.parametrize("place", ["", "dataset", "framework_args", "task_args", "benchmarked"])
def test_no_config_can_ask_for_code_of_a_model_to_run(place: str) -> None:
    data = yaml.safe_load(CONFIG)
    where = data.setdefault(place, {}) if place else data
    where["trust_remote_code"] = [True] if place == "benchmarked" else True
    with pytest.raises(ConfigError, match="trust_remote_code"):
        read_config(yaml.safe_dump(data), "sweep.yaml", registry.catalog())
