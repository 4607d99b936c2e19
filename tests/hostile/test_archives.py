"""Names in archives and of splits lead nowhere but into the cache of the datasets library."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hostile_data import tree

from quantbench.core.config import DatasetConfig
from quantbench.core.errors import ConfigError
from quantbench.data.rows import load_split

ROW = b'{"a": "x"}\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command runs, three folders deep; the cache is beside it."""
    import datasets.config

    cache = tmp_path / "cache"
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", cache / "downloads")
    monkeypatch.setattr(datasets.config, "EXTRACTED_DATASETS_PATH", cache / "extracted")
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def outside_of_the_cache(tmp_path: Path) -> set[str]:
    return {path for path in tree(tmp_path) if not path.startswith("cache")}


def write_zip(path: Path, name: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, ROW)
        archive.writestr("rows.jsonl", ROW)


def write_tar(path: Path, *members: tarfile.TarInfo) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for member in (*members, tarfile.TarInfo("rows.jsonl")):
            member.size = len(ROW) if member.isfile() else 0
            archive.addfile(member, io.BytesIO(ROW))


def link(name: str, target: Path, kind: bytes) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, str(target)
    return found


def load(data_files: dict[str, str], split: str = "validation") -> int:
    """The number of rows, or 0 if the data is refused."""
    config = DatasetConfig(
        path="json", data_files=data_files, eval_split=split, data_keys={"k": "a"}, ref_keys=("a",)
    )
    try:
        rows = load_split(config, split, "dataset.eval_split")
    except ConfigError as error:
        assert "dataset.data_files\n" in str(error)  # noqa: PT017
        assert not str(error).endswith(": ")  # noqa: PT017
        return 0
    assert rows.row(0)["a"] == "x"
    return rows.num_rows


@pytest.mark.parametrize(
    "name", ["../evil.jsonl", "../" * 9 + "evil.jsonl", "{outside}/evil.jsonl"]
)
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_name_in_an_archive_leads_nowhere(
    kind: str, name: str, folder: Path, tmp_path: Path
) -> None:
    path, name = folder / f"rows.{kind}", name.format(outside=tmp_path)
    if kind == "zip":
        write_zip(path, name)
    else:
        write_tar(path, tarfile.TarInfo(name))
    before = outside_of_the_cache(tmp_path)
    load({"validation": path.name})
    assert outside_of_the_cache(tmp_path) == before


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_in_an_archive_leads_nowhere(kind: bytes, folder: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious.jsonl"
    precious.write_bytes(b'{"a": "x"}\n')
    target = tmp_path if kind == tarfile.SYMTYPE else precious
    inside = "out/evil.jsonl" if kind == tarfile.SYMTYPE else "out"
    write_tar(folder / "rows.tar.gz", link("out", target, kind), tarfile.TarInfo(inside))
    before = outside_of_the_cache(tmp_path)
    load({"validation": "rows.tar.gz"})
    assert outside_of_the_cache(tmp_path) == before
    assert precious.read_bytes() == b'{"a": "x"}\n'


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_what_else_is_in_the_archive_is_read(kind: str, folder: Path) -> None:
    path = folder / f"rows.{kind}"
    if kind == "zip":
        write_zip(path, "more.jsonl")
    else:
        write_tar(path, tarfile.TarInfo("more.jsonl"))
    assert load({"validation": path.name}) == 2


@pytest.mark.parametrize("name", ["../../evil", "/evil", "..", "a/b", "$(touch evil)", "a\nb"])
def test_a_split_is_called_by_a_word(name: str, folder: Path, tmp_path: Path) -> None:
    (folder / "rows.jsonl").write_bytes(ROW)
    before = outside_of_the_cache(tmp_path)
    assert load({name: "rows.jsonl"}, name) == 0
    assert outside_of_the_cache(tmp_path) == before
