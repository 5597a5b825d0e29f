"""Entry of ``python -m fastmlp.bench``: the same as ``fastmlp bench``."""

from __future__ import annotations

import sys

from fastmlp.bench.run import main

sys.exit(main())
