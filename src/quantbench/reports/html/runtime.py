"""The library that draws, as one script that stands in the page: it is loaded from nowhere."""

from __future__ import annotations

import functools
import importlib.resources

from quantbench.core.errors import QuantbenchError

# All that the page's own script uses of it.
_EXPORTED = "globalThis.vegaEmbed = vegaEmbed;"


@functools.cache
def vega_runtime() -> str:
    """Vega, Vega-Lite and Vega-Embed as one classic script, with the licences that ask for it.

    They come with vl-convert, which draws the card's pictures too. Made once per process.
    """
    import vl_convert as vlc

    bundle: str = vlc.javascript_bundle(_EXPORTED)
    found = [mark for mark in ("</script", "<!--") if mark in bundle.lower()]
    if found:
        raise QuantbenchError(
            f"the drawing library of vl-convert holds {found[0]!r}: it cannot stand in a page",
            hint="Use the version of vl-convert-python that requirements.txt names.",
        )
    return f"/*\n{file_text('licences.txt')}*/\n{bundle}"


def file_text(name: str) -> str:
    """A file that belongs to the page."""
    return (importlib.resources.files(__package__) / name).read_text(encoding="utf-8")
