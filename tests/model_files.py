"""A network with all that a file may hold; files taken apart and put together."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

import fastmlp as fm

random = np.random.default_rng(13)
X = random.normal(size=(30, 4))
LABELS = random.integers(0, 3, 30)


def classifier(**options: Any) -> fm.Network:
    return fm.Network([4, 6, 3], **options)


def trained() -> fm.Network:
    """A network with all that a file may hold: moments, averages, best weights, rule states."""
    net = classifier(dropout=[0.1, 0.2], max_norm=2.0, l1=1e-4, l2=1e-3, seed=2**64 - 1)
    net.fit(
        X, LABELS, epochs=5, ema=0.9, validation=0.3, schedule=fm.schedules.Plateau(patience=1),
        stop=[fm.EarlyStopping(patience=9), fm.TimeBudget(1e6)], optimizer=fm.Adam(0.2),
    )  # fmt: skip
    return net


def there_and_back(net: fm.Network, path: Path) -> fm.Network:
    net.save(path)
    return fm.load(path)


def parts(content: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """The description of the network, the header and the tensors' bytes of a file."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    return json.loads(header["__metadata__"]["fastmlp"]), header, content[8 + length :]


def joined(description: Any, header: dict[str, Any], data: bytes) -> bytes:
    text = description if isinstance(description, str) else json.dumps(description)
    header = {**header, "__metadata__": {"fastmlp": text}}
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data
