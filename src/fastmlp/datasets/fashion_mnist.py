"""Fashion-MNIST, read from IDX files that the user has (nothing is downloaded).

70,000 images of 28 x 28 pixels of clothes in ten classes: H. Xiao, K. Rasul and R. Vollgraf (2017),
Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms, arXiv:1708.07747,
licence MIT.
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from pathlib import Path

import numpy as np

FILES = (
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)
# Where Debian's package dataset-fashion-mnist puts them.
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
HOW_TO_GET = (
    "Fashion-MNIST needs the files " + ", ".join(f"{name}.gz" for pair in FILES for name in pair)
    + " (or the same unpacked, without .gz). Give them in one of three ways: "
    "(1) load_fashion_mnist(folder=...) with the folder that holds them; "
    "(2) the environment variable FASTMLP_DATA set to that folder; "
    "(3) on Debian and Ubuntu, apt-get install dataset-fashion-mnist. "
    "They are published at https://github.com/zalandoresearch/fashion-mnist."
)  # fmt: skip

Pair = tuple[np.ndarray, np.ndarray]


def load_fashion_mnist(folder: str | os.PathLike[str] | None = None) -> tuple[Pair, Pair]:
    """Read Fashion-MNIST from a folder with its four IDX files, compressed (.gz) or not.

    Parameters
    ----------
    folder : path, default None
        The folder with the files; only it is looked in. By default the folder that the environment
        variable FASTMLP_DATA names, else that of Debian's package dataset-fashion-mnist, whichever
        first has all four.

    Returns
    -------
    (X_train, y_train), (X_test, y_test)
        X uint8, shapes (60000, 784) and (10000, 784): one image a row, its 28 x 28 pixels row by
        row, 0 (ground) to 255. y int64, shapes (60000,) and (10000,): 0 T-shirt, 1 trousers, 2
        pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag, 9 ankle boot. Divide X by
        255 before training.

    Raises
    ------
    FileNotFoundError
        Where no folder has the files; the message tells the three ways to give them.
    ValueError
        For a file that is damaged, truncated or not what its name says; the message names it.
    """
    train, test = _find(folder)
    return _read_pair(*train), _read_pair(*test)


def _find(folder: str | os.PathLike[str] | None) -> list[list[Path]]:
    """Paths of FILES in the first of the folders to look in that has them all."""
    if folder is not None:
        folders = [Path(folder)]
    else:
        named = os.environ.get("FASTMLP_DATA")
        folders = [Path(named), DEBIAN_FOLDER] if named else [DEBIAN_FOLDER]
    looked = []
    for place in folders:
        paths = [[_packed_or_not(place / name) for name in pair] for pair in FILES]
        missing = [path.name for pair in paths for path in pair if not path.is_file()]
        if not missing:
            return paths
        looked.append(f"{place} (without {', '.join(missing)})")
    raise FileNotFoundError(f"{HOW_TO_GET} Looked in {'; '.join(looked)}.")


def _packed_or_not(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    return packed if packed.is_file() else path


def _read_pair(images_path: Path, labels_path: Path) -> Pair:
    images = read_idx(images_path, dimensions=3)
    labels = read_idx(labels_path, dimensions=1)
    if len(images) != len(labels):
        raise ValueError(
            f"{images_path} has {len(images)} images, {labels_path} has {len(labels)} labels"
        )
    return images.reshape(len(images), images.shape[1] * images.shape[2]), labels.astype(np.int64)


def read_idx(path: str | os.PathLike[str], dimensions: int) -> np.ndarray:
    """Read one IDX file of unsigned bytes, compressed by gzip or not (told by its content).

    The format: two zero bytes, the type (8 for unsigned bytes), the number of dimensions; each
    dimension as a big-endian 32-bit number; the bytes, the last dimension fastest (Y. LeCun, C.
    Cortes and C. J. C. Burges, The MNIST database of handwritten digits).

    Parameters
    ----------
    path : path
        The file.
    dimensions : int
        How many dimensions it must have: 3 for images, 1 for labels.

    Returns
    -------
    uint8 array of the shape that the file states

    Raises
    ------
    ValueError
        Naming the file, where the header is another, or bytes are missing, left over or damaged.
    """
    try:
        with open(path, "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with gzip.GzipFile(fileobj=raw) if packed else raw as file:
                header = file.read(4 + 4 * dimensions)
                magic = bytes([0, 0, 8, dimensions])
                if header[:4] != magic:
                    got = header[:4].hex(" ") or "none"
                    raise ValueError(
                        f"{path} must begin with the bytes {magic.hex(' ')}, got {got}"
                    )
                if len(header) < 4 + 4 * dimensions:
                    raise ValueError(f"{path} is truncated: it ends within its header")
                shape = struct.unpack(f">{dimensions}I", header[4:])
                size = 1
                for length in shape:
                    size *= length
                # Chunk by chunk: a false size in the header must not allocate that much memory.
                data = bytearray()
                while len(data) <= size and (
                    chunk := file.read(min(size + 1 - len(data), 1 << 20))
                ):
                    data += chunk
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged or truncated: {error}") from error
    if len(data) != size:
        fault = f"is truncated: it has {len(data)}" if len(data) < size else "has more"
        raise ValueError(f"{path} {fault} bytes of data, for shape {shape} it must have {size}")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)
