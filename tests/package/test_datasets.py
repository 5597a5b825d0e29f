"""The data sets: the digits are the published ones, Fashion-MNIST is read safely where it lies."""

import gzip
import struct
from importlib import resources

import numpy as np
import pytest

import fastmlp as fm
from fastmlp import datasets
from fastmlp.datasets import fashion_mnist
from fastmlp.datasets.fashion_mnist import DEBIAN_FOLDER, FILES, read_idx

NAMES = [name for pair in FILES for name in pair]


def idx(array):
    """The bytes of an IDX file."""
    return (
        bytes([0, 0, 8, array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


def small_set():
    """Arrays of a set of 5 training and 3 test images of 28 x 28 pixels, by file name."""
    random = np.random.default_rng(0)
    arrays = [
        array
        for n in (5, 3)
        for array in (random.integers(0, 256, (n, 28, 28)), random.integers(0, 10, n))
    ]
    return dict(zip(NAMES, [array.astype(np.uint8) for array in arrays], strict=True))


@pytest.fixture
def nothing_installed(monkeypatch, tmp_path):
    monkeypatch.delenv("FASTMLP_DATA", raising=False)
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path / "not-there")


@pytest.fixture
def folder(tmp_path):
    """A folder with the small set, one half packed, the other not."""
    place = tmp_path / "small set"
    place.mkdir()
    for number, (name, array) in enumerate(small_set().items()):
        if number % 2:
            (place / name).write_bytes(idx(array))
        else:
            (place / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
    return place


def assert_small_set(loaded):
    expected = small_set()
    for (X, y), (images, labels) in zip(loaded, FILES, strict=True):
        assert X.dtype == np.uint8 and y.dtype == np.int64
        np.testing.assert_array_equal(X, expected[images].reshape(-1, 784))
        np.testing.assert_array_equal(y, expected[labels])


# ---- digits


def test_digits():
    X, y = fm.datasets.load_digits()
    assert X.shape == (1797, 64) and X.dtype == np.float32
    assert y.shape == (1797,) and y.dtype == np.int64
    assert X.min() == 0 and X.max() == 1
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (X * 16 == np.rint(X * 16)).all()
    # Each caller has a copy to change.
    assert not np.shares_memory(X, datasets.load_digits()[0])


def test_digits_are_those_of_sklearn():
    sklearn_datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_digits()
    digits = sklearn_datasets.load_digits()
    np.testing.assert_array_equal(X * 16, digits.data)
    np.testing.assert_array_equal(y, digits.target)


def test_the_licence_comes_with_the_digits():
    data = resources.files("fastmlp.datasets") / "data"
    readme = (data / "README.txt").read_text(encoding="utf-8")
    assert "Alpaydin" in readme and "10.24432/C50P49" in readme and "CC BY 4.0" in readme
    licence = (data / "LICENSE-CC-BY-4.0.txt").read_text(encoding="utf-8")
    assert licence.startswith("Attribution 4.0 International")


# ---- Fashion-MNIST


def test_fashion_mnist_as_published():
    try:
        (X_train, y_train), (X_test, y_test) = datasets.load_fashion_mnist()
    except FileNotFoundError:
        pytest.skip(f"Fashion-MNIST is neither in $FASTMLP_DATA nor in {DEBIAN_FOLDER}")
    assert X_train.shape == (60000, 784) and X_test.shape == (10000, 784)
    assert X_train.dtype == X_test.dtype == np.uint8
    assert y_train.dtype == y_test.dtype == np.int64
    assert np.bincount(y_train).tolist() == [6000] * 10
    assert np.bincount(y_test).tolist() == [1000] * 10
    assert y_train[:6].tolist() == [9, 0, 0, 3, 0, 2]
    assert round(float(X_train.mean()), 4) == 72.9404  # known for this set: 0.2860 of 255


def test_folder_by_argument(nothing_installed, folder):
    assert_small_set(datasets.load_fashion_mnist(folder))
    assert_small_set(datasets.load_fashion_mnist(folder=str(folder)))


def test_folder_by_environment(nothing_installed, folder, monkeypatch):
    monkeypatch.setenv("FASTMLP_DATA", str(folder))
    assert_small_set(datasets.load_fashion_mnist())


def test_folder_of_the_package(nothing_installed, folder, monkeypatch, tmp_path):
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", folder)
    assert_small_set(datasets.load_fashion_mnist())
    monkeypatch.setenv("FASTMLP_DATA", str(tmp_path))  # a folder of other data hides nothing
    assert_small_set(datasets.load_fashion_mnist())
    # A folder that is named is the only one.
    with pytest.raises(FileNotFoundError, match="Looked in"):
        datasets.load_fashion_mnist(tmp_path)


def test_files_that_are_not_there(nothing_installed, folder, monkeypatch, tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        datasets.load_fashion_mnist()
    for way in ("folder=", "FASTMLP_DATA", "apt-get install dataset-fashion-mnist", *NAMES):
        assert way in str(caught.value)
    (folder / f"{NAMES[2]}.gz").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        datasets.load_fashion_mnist(folder)
    assert f"Looked in {folder} (without {NAMES[2]})." in str(caught.value)


def test_numbers_of_images_and_labels_differ(nothing_installed, folder):
    (folder / NAMES[1]).write_bytes(idx(np.zeros(4, np.uint8)))
    with pytest.raises(ValueError, match=f"{NAMES[0]}.gz has 5 images, .*{NAMES[1]} has 4 labels"):
        datasets.load_fashion_mnist(folder)


# ---- IDX files


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_idx(tmp_path, pack):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    path = tmp_path / "any-name"
    path.write_bytes(pack(idx(array)))
    read = read_idx(path, dimensions=3)
    np.testing.assert_array_equal(read, array)
    assert read.dtype == np.uint8 and read.flags.writeable


GOOD = idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must begin with the bytes 00 00 08 03, got none"),
        (b"\x00", "must begin with"),
        (b"<html>not found</html>", "must begin with the bytes 00 00 08 03, got 3c 68 74 6d"),
        (idx(np.zeros(5, np.uint8)), "must begin with the bytes 00 00 08 03, got 00 00 08 01"),
        (b"\x00\x00\x0d\x03" + GOOD[4:], "must begin with"),
        (GOOD[:10], "is truncated: it ends within its header"),
        (
            GOOD[:-1],
            r"is truncated: it has 23 bytes of data, for shape \(2, 3, 4\) it must have 24",
        ),
        (GOOD[:16], "is truncated: it has 0 bytes"),
        (GOOD + b"\x00", r"has more bytes of data, for shape \(2, 3, 4\) it must have 24"),
        (GOOD[:4] + b"\xff" * 12 + GOOD[16:], "is truncated: it has 24 bytes"),  # states 2^96 bytes
    ],
)
def test_bad_idx(tmp_path, pack, content, message):
    path = tmp_path / "bad-file"
    path.write_bytes(pack(content))
    with pytest.raises(ValueError, match=f"bad-file {message}"):
        read_idx(path, dimensions=3)


def test_damaged_gzip(tmp_path):
    path = tmp_path / "bad-file.gz"
    packed = gzip.compress(
        idx(np.random.default_rng(0).integers(0, 256, (9, 28, 28)).astype(np.uint8))
    )
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 0xFF
    for content in (packed[:-9], packed[:100], packed[:3], bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad-file.gz is damaged or truncated"):
            read_idx(path, dimensions=3)
