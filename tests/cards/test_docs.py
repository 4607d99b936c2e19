"""The worked examples of docs/lint.md are what the command prints, and its table has every rule."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from published_cards import DATA, NAMES

from quantbench import cli
from quantbench.analysis.lint import RULES

TEXT = (Path(__file__).parents[2] / "docs" / "lint.md").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_example_is_what_is_printed(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(DATA)
    assert cli.main(["lint", f"{name}.card.txt"]) == 1
    assert f"```text\n{capsys.readouterr().out.rstrip()}\n```" in TEXT


def test_every_rule_is_in_the_table() -> None:
    found = [int(number) for number in re.findall(r"^\| \*\*L(\d+)\*\*", TEXT, re.MULTILINE)]
    assert found == list(range(1, len(RULES) + 1))
