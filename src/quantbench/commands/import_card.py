"""`quantbench import`: a published card as a run with its reports, for show, compare, card."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from quantbench import registry
from quantbench.core.errors import EXIT_FAILED, EXIT_OK


def import_card(path: Path, out: Path | None, as_json: bool) -> int:
    """`quantbench import`: read a card, write its folder, and say what was read."""
    from quantbench import imported
    from quantbench.cards.read import read_card
    from quantbench.cards.scan import place
    from quantbench.commands.run import print_problems
    from quantbench.core.printable import printable
    from quantbench.reports.card_parity import first_difference, render_parity
    from quantbench.reports.paths import CARD
    from quantbench.reports.wording import plural
    from quantbench.run_dir import locked
    from quantbench.run_files import read_card_text
    from quantbench.sweep import write_reports

    text = read_card_text(path)
    result = read_card(text, str(path), registry.catalog()).result
    rendered = render_parity(result)
    offset = first_difference(text, rendered)
    differs = None if offset is None else place(text, offset)
    folder = out or Path("runs") / imported.folder_name(path)
    imported.check_target(folder, text)
    with locked(folder):
        imported.write_imported(folder, text, rendered)
        reported = write_reports(folder)
    rows, cells = len(result.published), len(result.published[0].timings)
    if as_json:
        where = None if differs is None else {"line": differs.line, "column": differs.column}
        said = {"folder": str(folder), "rows": rows, "shapes": cells, "differs_at": where}
        print(json.dumps(said, indent=1))
    else:
        what = f"{plural(rows, 'row')}, {plural(cells, 'shape')}"
        print(printable(f"{result.config.model_name_or_path}: {what}"))
        print(printable(f"{folder / CARD}  the card in today's form"))
        print(printable(f"{folder / imported.PUBLISHED}  the card as it was published"))
        if differs is None:
            print("Nothing is lost: but for white space it is written again as it was read.")
        print(printable(f"What its numbers cannot support: quantbench lint {path}"))
    if differs is not None:
        note = f"note: every number was read, but {path} is written differently at {differs}"
        print(printable(note), file=sys.stderr)
    return EXIT_FAILED if print_problems(reported.problems) else EXIT_OK
