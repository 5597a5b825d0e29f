"""What several test files need: the checkout, for the tests that look at the source tree."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The folder of the source tree; tests that need it are skipped where only the package is installed."""
    root = Path(__file__).resolve().parents[1]
    if not (root / "csrc").is_dir():
        pytest.skip("looks at the source tree, which is not here")
    return root
