"""What several test files need: the checkout, and threads for small networks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from trainings import WAYS

from fastmlp import _core


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The folder of the source tree; its tests are skipped where only the package is installed."""
    root = Path(__file__).resolve().parents[1]
    if not (root / "csrc").is_dir():
        pytest.skip("looks at the source tree, which is not here")
    return root


@pytest.fixture
def free_threads() -> Iterator[None]:
    """Small networks run on the threads they are given: the cost model would give them one."""
    _core.free_threads(True)
    yield
    _core.free_threads(False)


@pytest.fixture(params=WAYS)
def way(request: Any, tmp_path: Any) -> Any:
    """A way from a network to the one that goes on."""
    return lambda net: WAYS[request.param](net, tmp_path)
