"""A secret of the machine is in no file and on no screen; one in a config stays with the config."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hostile_data import command
from hostile_run import CONFIG, run_config

from fake_backend import FakeBackend
from quantbench.core.config import DatasetConfig
from quantbench.core.errors import UsageError
from quantbench.data.models import resolve_model
from quantbench.data.sources import find_source

TOKEN = "hf_TheSecretOfThisMachine1234567890"  # noqa: S105 - no token of anyone
PASSWORD = "s3cretOfTheUser"  # noqa: S105
URL = f"https://user:{PASSWORD}@host.invalid/owner/name"
VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN")


def files_with(root: Path, secret: str) -> set[str]:
    """The files below a folder in which the secret is, as bytes or in a name."""
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if secret in path.name or (path.is_file() and secret.encode() in path.read_bytes())
    }


@pytest.fixture
def secret_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, TOKEN)
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{TOKEN}@proxy.invalid:3128")


@pytest.mark.usefixtures("secret_machine")
class TestASecretOfTheEnvironment:
    @pytest.mark.parametrize("fails", [(), ("quantize",), ("export",), ("evaluate original",)])
    def test_it_is_not_in_a_run(self, fails: tuple[str, ...], tmp_path: Path) -> None:
        said = run_config(tmp_path, CONFIG, backend=FakeBackend(*fails))
        assert TOKEN not in said.out + said.err
        assert (tmp_path / "run" / "README.md").exists()
        assert files_with(tmp_path, TOKEN) == set()

    def test_it_is_not_in_the_plan_the_schema_or_a_message(self, tmp_path: Path) -> None:
        path = tmp_path / "sweep.yaml"
        path.write_text(CONFIG)
        bad = tmp_path / "bad.yaml"
        bad.write_text(CONFIG + "x: ${HF_TOKEN}\nseed: $HF_TOKEN\nmetrics: [!ENV HF_TOKEN]\n")
        for arguments in (["plan", str(path)], ["plan", str(path), "--json"], ["schema"]):
            assert TOKEN not in command(*arguments).out
        said = command("plan", str(bad))
        assert said.code == 2
        assert TOKEN not in said.err

    @pytest.mark.parametrize("text", ["$HF_TOKEN", "${HF_TOKEN}", "~/$HF_TOKEN", "%HF_TOKEN%"])
    def test_a_variable_in_a_config_is_not_replaced(self, text: str, tmp_path: Path) -> None:
        data: dict[str, Any] = yaml.safe_load(CONFIG)
        data["model_name_or_path"] = data["dataset"]["path"] = text
        run_config(tmp_path, yaml.safe_dump(data))
        assert files_with(tmp_path, TOKEN) == set()
        assert text in (tmp_path / "run" / "config.yaml").read_text()


# One process asks a hub that cannot be reached in several ways for a model and a dataset.
ASK = """
import sys
from quantbench.core.config import DatasetConfig
from quantbench.core.errors import QuantbenchError
from quantbench.data import hub
from quantbench.data.models import resolve_model
from quantbench.data.sources import find_source
hub.RETRY_WAITS_S = ()
data = DatasetConfig(path="owner/private", data_keys={"a": "b"}, ref_keys=("c",))
for ask in (lambda: resolve_model("owner/private", None), lambda: find_source(data)):
    try:
        ask()
    except QuantbenchError as error:
        print("REFUSED", error)
"""


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param(
            {"HF_ENDPOINT": "http://127.0.0.1:9"}, id="nobody answers", marks=pytest.mark.slow
        ),
        pytest.param({"HF_HUB_OFFLINE": "1"}, id="offline", marks=pytest.mark.slow),
        pytest.param(
            {"HF_ENDPOINT": f"http://user:{PASSWORD}@127.0.0.1:9"}, id="password of the hub"
        ),
        pytest.param(
            {
                "HF_ENDPOINT": "http://hub.invalid",
                "HTTP_PROXY": f"http://user:{PASSWORD}@127.0.0.1:9",
                "NO_PROXY": "",
            },
            id="password of a proxy",
        ),
    ],
)
def test_no_secret_is_told_when_the_hub_cannot_be_reached(
    variables: dict[str, str], tmp_path: Path
) -> None:
    proxies = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("HF_") and name.lower() not in proxies
    }
    ended = subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, text=True, check=False, cwd=tmp_path,
        env=kept | {"HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "home")} | variables, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("REFUSED") == 2
    for secret in (TOKEN, PASSWORD):
        assert secret not in ended.stdout + ended.stderr
        assert files_with(tmp_path, secret) == set()


class TestAPasswordInAnAddress:
    @pytest.fixture(autouse=True)
    def offline(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        import huggingface_hub.constants

        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.chdir(tmp_path)
        yield
        assert files_with(tmp_path, PASSWORD) == set()

    @pytest.mark.parametrize("address", [URL, f"{URL}/model.onnx", f"git+{URL}.git"])
    def test_as_a_model_it_is_refused(self, address: str) -> None:
        with pytest.raises(UsageError, match=r"neither a directory|such file|no such|hub"):
            resolve_model(address, None)

    def test_as_a_dataset_it_is_refused(self) -> None:
        config = DatasetConfig(path=URL, data_keys={"a": "b"}, ref_keys=("c",))
        with pytest.raises(UsageError, match="neither a folder"):
            find_source(config)

    @pytest.mark.parametrize("path", ["json", "csv", "parquet", "imagefolder"])
    def test_as_data_files_it_is_refused(self, path: str) -> None:
        config = DatasetConfig(
            path=path, data_files={"validation": URL}, data_keys={"a": "b"}, ref_keys=("c",)
        )
        with pytest.raises(UsageError, match="must be local"):
            find_source(config)


def with_address(place: str) -> str:
    data: dict[str, Any] = yaml.safe_load(CONFIG)
    match place:
        case "model":
            data["model_name_or_path"] = URL
        case "dataset":
            data["dataset"]["path"] = URL
        case _:
            data["dataset"]["data_files"] = {"validation": URL}
    return yaml.safe_dump(data)


PLACES = ("model", "dataset", "data files")


@pytest.mark.parametrize("command_name", ["run", "plan"])
@pytest.mark.parametrize("place", PLACES)
def test_a_password_in_a_config_is_refused_and_not_repeated(
    place: str, command_name: str, tmp_path: Path
) -> None:
    """It would be kept with the run, and published with its card."""
    text = with_address(place)
    if command_name == "run":
        said = run_config(tmp_path, text)
    else:
        (tmp_path / "sweep.yaml").write_text(text)
        said = command("plan", str(tmp_path / "sweep.yaml"))
    assert said.code == 2
    assert "//…@host.invalid/owner/name" in said.err
    assert "must not hold a user, password or token" in said.err
    assert PASSWORD not in said.out + said.err
    assert not (tmp_path / "run").exists()
    assert files_with(tmp_path, PASSWORD) == {"sweep.yaml"}


@pytest.mark.parametrize(
    "address",
    [f"https://{PASSWORD}@host/x", f"git+ssh://git:{PASSWORD}@host/x", f"hf://u:{PASSWORD}@a/b",
     f"https://user:a@b:{PASSWORD}@host/x"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["model_revision", "task", "metrics", "seed", "no such name"])
def test_a_password_in_any_place_is_masked(name: str, address: str, tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({**yaml.safe_load(CONFIG), name: address}))
    said = command("plan", str(tmp_path / "sweep.yaml"))
    assert said.code == 2
    assert PASSWORD not in said.out + said.err


@pytest.mark.parametrize(
    "name", ["owner/name", "https://host/a@b", "hf://datasets/a/b@main", "a@b"]
)
def test_an_at_sign_alone_is_no_password(name: str, tmp_path: Path) -> None:
    data: dict[str, Any] = yaml.safe_load(CONFIG) | {"model_name_or_path": name}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(data))
    assert command("plan", str(tmp_path / "sweep.yaml")).code == 0
