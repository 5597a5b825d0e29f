"""Entry of ``python -m fastmlp``: the same as the ``fastmlp`` command."""

from __future__ import annotations

import sys

from fastmlp.cli import main

sys.exit(main())
