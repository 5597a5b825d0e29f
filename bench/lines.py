"""Processes that stay alive and answer a JSON line with a JSON line: asking and answering side."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, TextIO


class WorkerError(RuntimeError):
    """A process that could not be started, or failed at its work."""


class Process:
    """The asking side: starts a process and talks to it.

    Parameters
    ----------
    command : sequence of str
        What to run; it must greet with one line and then call `serve`.
    environment : mapping of str to str
        All of its environment variables.

    Raises
    ------
    WorkerError
        If there is no such program.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._errors = tempfile.TemporaryFile("w+")
        try:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
            )
        except OSError as error:
            self._errors.close()
            raise WorkerError(f"{command[0]} cannot be started: {error.strerror}") from error

    def receive(self) -> dict[str, Any]:
        """Wait for the next line; WorkerError with the last message if the process has ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            last = self._errors.read().strip().splitlines()[-1:]
            raise WorkerError(f"{self!r} ended: {''.join(last) or 'no message'}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"{self!r}: {answer['error']}")
        return answer

    def ask(self, operation: str, **arguments: Any) -> Any:
        """Have an operation done; returns its value, or raises WorkerError with its error."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"operation": operation, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the reason is read below
        return self.receive()["value"]

    def close(self) -> None:
        """End the process."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._errors.close()


def take_stdout() -> TextIO:
    """Return the stdout of this process for answers; what libraries print then goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def serve(session: Any, greeting: dict[str, Any], answers: TextIO) -> None:
    """Greet, then answer the requests on stdin until the other side closes it.

    Parameters
    ----------
    session : object
        Has `operations`, the names of those of its methods that may be asked for.
    greeting : dict
        The first answer.
    answers : text file
        Where answers go, from `take_stdout`.
    """
    print(json.dumps(greeting), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        operation = request.pop("operation")
        try:
            if operation not in session.operations:
                raise ValueError(
                    f"operation must be one of {session.operations}, got {operation!r}"
                )
            answer = {"value": getattr(session, operation)(**request)}
        except Exception as error:  # whatever a library raises: the benchmark names it and goes on
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)
