"""Tables as snapd prints them: Go's tabwriter with a minimum width of 5 and 2 spaces between (cmd/snap/cmd_list.go)."""

from __future__ import annotations

from collections.abc import Sequence

MINIMUM, PADDING = 5, 2


def table(rows: Sequence[Sequence[str]]) -> str:
    """Align all columns but the last one."""
    widths = [max(MINIMUM, *(len(row[i]) + PADDING for row in rows)) for i in range(len(rows[0]) - 1)]
    return "".join(
        "".join(cell.ljust(w) for cell, w in zip(row, widths, strict=False)) + row[-1] + "\n" for row in rows
    )
