"""The ``fastmlp`` command: ``bench`` times this machine, ``config`` shows what is in use."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command and its options; those of the process by default.

    Returns
    -------
    int
        Status for the shell, 0 if all went well.

    Raises
    ------
    SystemExit
        With status 2 for a command or an option that there is not.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["bench"]:
        from fastmlp.bench.run import main as bench

        return bench(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="fastmlp", description="Multilayer perceptrons on the CPU."
    )
    commands = parser.add_subparsers(title="commands", required=True)
    commands.add_parser(
        "bench", help="time fastmlp and the installed rivals here, in under a minute (bench --help)"
    )
    commands.add_parser("config", help="version, instruction set, threads and compiler")
    parser.parse_args(arguments)

    import fastmlp

    fastmlp.show_config()
    return 0
