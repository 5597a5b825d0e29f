"""An environment with the rivals, apart from the one in use, for ``run.py --install``."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import venv

BENCH = pathlib.Path(__file__).resolve().parent
ENVIRONMENT = BENCH.parent / "build" / "bench-venv"


def install() -> pathlib.Path:
    """Create or update build/bench-venv with this source tree and what requirements.txt names.

    A rival that cannot be installed here is left to the benchmark, which names it as missing.

    Returns
    -------
    Path
        Python of the environment.

    Raises
    ------
    SystemExit
        If this is an installed package and not a source tree.
    """
    requirements = BENCH / "requirements.txt"
    if not requirements.exists():
        raise SystemExit(
            "--install needs the source tree of fastmlp, where bench/requirements.txt is"
        )
    if not ENVIRONMENT.exists():
        venv.create(ENVIRONMENT, with_pip=True)
    python = ENVIRONMENT / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, str(BENCH.parent)], check=True)
    for line in requirements.read_text().splitlines():
        requirement = line.partition("#")[0].strip()
        if requirement and subprocess.run([*pip, requirement], check=False).returncode:
            print(f"could not be installed: {requirement}", file=sys.stderr)
    return python


def run_there(arguments: list[str]) -> int:
    """Install, then run the whole benchmark there; returns its status.

    Parameters
    ----------
    arguments : list of str
        Options that come after ``--full --output bench/results`` and so go before them.
    """
    command = [str(install()), "-m", "fastmlp.bench", "--full", "--output", str(BENCH / "results")]
    return subprocess.run([*command, *arguments], check=False).returncode
