"""Small tables of text, and of HTML for notebooks."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(lines: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines with their cells in columns, each as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(str.rjust, line, widths)) for line in lines]


def html_table(title: str, lines: Sequence[Sequence[str]]) -> str:
    """Return HTML of a title above a table whose first line is its head; all text is escaped."""
    from html import escape  # only notebooks need it

    rows = []
    for tag, part in (("th", lines[:1]), ("td", lines[1:])):
        for line in part:
            cells = "".join(f'<{tag} style="text-align: right">{escape(c)}</{tag}>' for c in line)
            rows.append(f"<tr>{cells}</tr>")
    table = f"<table>{''.join(rows)}</table>" if rows else ""
    return f"<div><div>{escape(title)}</div>{table}</div>"
