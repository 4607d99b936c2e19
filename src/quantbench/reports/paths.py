"""Names of the files that reports write below a run's directory."""

from __future__ import annotations

CARD = "README.md"
REPORT = "report.html"
TABLE = "table.parquet"
PICTURE_STEM = "plots/accuracy_speed"
