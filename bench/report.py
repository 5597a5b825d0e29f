"""What measurements look like: tables on the screen, one JSON file per version and processor."""

from __future__ import annotations

import collections
import datetime
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import re
from typing import Any

from fastmlp.bench.peers import PEERS
from fastmlp.bench.worker import available_threads

Rows = dict[str, dict[str, Any]]


def processor() -> str:
    """Model name of the processor."""
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    return {
        "fastmlp": importlib.metadata.version("fastmlp"),
        "processor": processor(),
        "threads": available_threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "instruction_set_forced": os.environ.get("FASTMLP_ISA"),
    }


def save(folder: pathlib.Path, rivals: dict[str, str], sections: dict[str, Rows]) -> pathlib.Path:
    """Write or update `<version>-<processor>.json`: rows replace those of the same name.

    Parameters
    ----------
    folder : Path
        Created if it does not exist.
    rivals : dict of str to str
        Version of each rival, or why it took no part.
    sections : dict of str to rows
        Figures by section (training, inference, …) and by row.

    Returns
    -------
    Path
        The file.
    """
    about = machine()
    forced = about["instruction_set_forced"]
    name = f"{about['fastmlp']}-{about['processor']}" + (f"-{forced}" if forced else "")
    path = folder / (re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-") + ".json")
    saved = json.loads(path.read_text()) if path.exists() else {}
    saved["machine"] = about
    saved["rivals"] = saved.get("rivals", {}) | rivals
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    for section, rows in sections.items():
        saved.setdefault(section, {}).update(
            {key: {**row, "measured": now} for key, row in rows.items()}
        )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(saved, indent=1) + "\n")
    return path


def heading(rivals: dict[str, str]) -> str:
    """The machine, and every rival with its version or the reason for its absence."""
    about = machine()
    forced = (
        f", FASTMLP_ISA={about['instruction_set_forced']}"
        if about["instruction_set_forced"]
        else ""
    )
    lines = [
        f"fastmlp {about['fastmlp']} on {about['processor']}, {about['threads']} threads{forced}"
    ]
    return "\n".join(lines + [f"  {rival}: {state}" for rival, state in rivals.items()])


def race_titles() -> str:
    """Column titles over the lines of `race`."""
    rivals = "".join(f"{peer:>16}" for peer in PEERS if peer != "fastmlp")
    return (
        f"{'':24}{'fastmlp':>10}{'GF/s':>7}{'of peak':>8}  {'ratio to the best rival':36}{rivals}"
    )


def race(name: str, row: dict[str, Any]) -> str:
    """One line: fastmlp's ms, Gflop/s, fraction of peak and ratio, each rival's ms (threads).

    A tilde marks a figure from a single first look; a dash a rival that took no part.
    """
    peers = row["peers"]
    own = milliseconds(peers["fastmlp"]["ms"]) if "fastmlp" in peers else "-"
    line = f"{name:24}{own:>10}"
    line += f"{row['gflops']:7.1f}{row['share_of_peak']:8.1%}  " if "gflops" in row else f"{'':17}"
    ratio = peers[row["best_rival"]].get("ratio") if row["best_rival"] else None
    line += f"{spread(ratio) + ' ' + row['best_rival']:36}" if ratio else f"{'':36}"
    for peer in PEERS:
        if peer != "fastmlp":
            line += f"{_rival(peers.get(peer)):>16}"
    line += "  " + placements(row)
    return line + "".join(
        f"\n    {peer} failed: {reason}" for peer, reason in row["failed"].items()
    )


def placements(row: dict[str, Any]) -> str:
    """In how many rounds the threads were where."""
    counted = collections.Counter(row.get("placement", []))
    return ", ".join(f"{count} × {where}" for where, count in counted.most_common())


def _rival(figures: dict[str, Any] | None) -> str:
    if figures is None:
        return "-"
    return (
        f"{'' if figures['in_rounds'] else '~'}{milliseconds(figures['ms'])} ({figures['threads']})"
    )


def spread(ratio: dict[str, float]) -> str:
    """Median and range of a ratio."""
    return f"{ratio['median']:.2f} ({ratio['min']:.2f} … {ratio['max']:.2f})"


def milliseconds(value: float) -> str:
    """Three significant digits, without an exponent."""
    digits = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:.{digits}f}"
