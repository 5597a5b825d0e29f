"""The same numbers in any container, dtype and layout are the same to all that takes them."""

import tempfile
import warnings
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import fastmlp as fm
from fastmlp import metrics
from fastmlp._arrays import (
    column_names,
    first_bad,
    real_array,
    refuse_not_finite,
    rows_of,
    weights_of,
)
from fastmlp.splitting import split_indices

pytest.importorskip("hypothesis", reason="what containers hold is drawn at random here")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

REAL = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]
common = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


def package(name):
    return pytest.importorskip(name, reason=f"{name} holds the numbers here")


def layouts(x):
    """The values of x (n, ...), each lying in memory in another way."""
    yield x
    yield np.asfortranarray(x)
    yield np.ascontiguousarray(x[::-1])[::-1]
    yield np.repeat(x, 3, axis=0)[1::3]
    yield x.astype(x.dtype.newbyteorder())
    yield np.lib.stride_tricks.as_strided(x, x.shape, x.strides, writeable=False)
    raw = np.zeros(x.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(x.dtype).reshape(x.shape)
    unaligned[...] = x
    yield unaligned
    if (x == x[0]).all():  # one row for all: stride 0
        yield np.broadcast_to(x[0], x.shape)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "x.npy", x)
        yield np.load(Path(folder) / "x.npy", mmap_mode="r")


def lists(x):
    yield x.tolist()
    yield tuple(x.tolist())
    yield list(x)
    yield x.astype(object)


def frames(x):
    """The values of x, (n, k) or (n,), as frames or series of the packages there are."""
    columns = [f"column {j}" for j in range(x.shape[1])] if x.ndim == 2 else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("pandas", "polars", "pyarrow"):
            try:
                module = __import__(name)
            except ImportError:
                continue
            if name == "pyarrow":
                parts = [module.array(column) for column in (x.T if columns else [x])]
                yield module.table(parts, names=columns) if columns else parts[0]
                yield (
                    module.chunked_array([parts[0][:1], parts[0][1:]])
                    if not columns
                    else (module.record_batch(parts, names=columns))
                )
            elif columns:
                yield module.DataFrame({c: x[:, j].copy() for j, c in enumerate(columns)})
            else:
                yield module.Series(x.copy())
            if name == "pandas" and x.dtype.str[1:] != "f2":
                kind = {"b": "boolean", "u": "UInt", "i": "Int", "f": "Float"}[x.dtype.kind]
                bits = "" if kind == "boolean" else str(8 * x.dtype.itemsize)
                made = module.DataFrame(x, columns=columns) if columns else module.Series(x)
                yield made.astype(kind + bits)


def forms(x):
    yield from layouts(x)
    yield from lists(x)
    yield from frames(x)


@st.composite
def arrays(draw, ndim=2, dtypes=REAL, low=-100):
    """Small arrays of whole numbers and halves that every dtype drawn holds exactly."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=ndim, max_size=ndim)))
    values = draw(hnp.arrays(np.int64, shape, elements=st.integers(low, 100)))
    if dtype.kind == "b":
        return values > 0
    return (abs(values) if dtype.kind == "u" else values / (2 if dtype.kind == "f" else 1)).astype(
        dtype
    )


@common
@given(arrays())
def test_real_arrays_from_anything(x):
    for form in forms(x):
        array = real_array("X", form)
        assert array.shape == x.shape and np.array_equal(array, x)
        if isinstance(form, np.ndarray) and form.dtype.kind != "O":
            assert array.dtype.kind == x.dtype.kind
        assert np.array_equal(rows_of("X", form, x.shape[1]), x)
    for form in layouts(x):
        assert np.shares_memory(real_array("X", form), form)


@common
@given(arrays(ndim=1, low=0))
def test_weights_from_anything(x):
    weights = x.astype(float)
    weights[0] += 1
    for form in forms(weights.astype(x.dtype)):
        assert np.array_equal(weights_of("w", form, len(x)), weights.astype(x.dtype).astype(float))


@common
@given(arrays(ndim=1, dtypes=[t for t in REAL if t != "f2"]), st.randoms(use_true_random=False))
def test_metrics_of_anything(x, random):
    labels, shuffled = np.floor(x).astype(x.dtype), np.floor(x).astype(x.dtype)
    shuffled[: len(x) // 2] = labels[0]
    weights = np.array([random.randint(1, 5) for _ in x])
    by_label = ("accuracy", "confusion_matrix", "f1")
    for name in (*by_label, "mse", "mae", "rmse", "r2"):
        metric = getattr(metrics, name)
        true, predicted = (labels, shuffled) if name in by_label else (x, shuffled)
        expected = metric(true, predicted, sample_weight=weights)
        all_forms = zip(forms(true), forms(predicted), forms(weights), strict=False)
        for y_true, y_pred, weight in all_forms:
            found = metric(y_true, y_pred, sample_weight=weight)
            assert np.array_equal(found, expected, equal_nan=True), (name, y_true, y_pred)


@common
@given(arrays(), st.booleans())
def test_splits_of_anything_are_the_same_rows_in_the_same_container(x, stratify):
    x = np.concatenate([x, x, x, x])
    y = np.arange(len(x)) % 2
    parts = split_indices(y, len(x), (0.5, 0.5), stratify, 3)
    for form in forms(x):
        for labels in (y, y.tolist()):
            found = fm.split(form, labels, (0.5, 0.5), stratify, 3)
            for (rows, targets), part in zip(found, parts, strict=True):
                assert np.array_equal(real_array("X", rows), x[part])
                assert np.array_equal(targets, y[part]) and type(targets) is np.ndarray
                frame = not isinstance(form, np.ndarray | list | tuple)
                assert type(rows) is (type(form) if frame else np.ndarray)


# ---- frames of mixed columns


def test_a_frame_of_bools_and_numbers_goes_through_split_and_fit():
    pd = package("pandas")
    frame = pd.DataFrame({"a": [True, False] * 10, "b": np.arange(20.0), "c": np.arange(20)})
    label = pd.Series([0, 1] * 10, index=frame.index, name="label")
    (rows, y), (held, _) = fm.split(frame, label, (0.5, 0.5))
    assert rows.dtypes.tolist() == frame.dtypes.tolist() and list(rows) == list(frame)
    assert rows.index.equals(y.index) and y.name == "label"
    assert rows.equals(frame.loc[rows.index])
    plain = frame.to_numpy(dtype=float)
    nets = [fm.Network([3, 2]) for _ in range(2)]
    nets[0].fit(rows, y, epochs=1)
    nets[1].fit(plain[rows.index], label.to_numpy()[rows.index], epochs=1)
    assert np.array_equal(nets[0].predict(held), nets[1].predict(plain[held.index]))


def test_unsigned_numbers_beyond_int64_beside_bools():
    big = np.uint64([2**64 - 1, 3])
    for name, make in (("pandas", "DataFrame"), ("polars", "DataFrame"), ("pyarrow", "table")):
        frame = getattr(package(name), make)({"a": big, "b": [True, False]})
        array = real_array("X", frame)
        assert array.dtype == np.uint64 and array.tolist() == [[2**64 - 1, 1], [3, 0]]
        assert metrics.mse(frame, [[2**64 - 1, 1], [3, 0]]) == 0.0
    pd = package("pandas")
    mixed = pd.DataFrame({"a": big, "b": [-1, 1], "c": [0.5, 1]})
    assert real_array("X", mixed).tolist() == [[2.0**64, -1, 0.5], [3, 1, 1]]


def test_frames_of_one_type_are_not_copied():
    pd = package("pandas")
    x = np.arange(6.0).reshape(3, 2)
    assert np.shares_memory(real_array("X", pd.DataFrame(x, copy=False)), x)


def test_names_of_columns():
    pd, pl, pa = (package(name) for name in ("pandas", "polars", "pyarrow"))
    data = {"b": [1, 2], "a": [3, 4]}
    for frame in (pd.DataFrame(data), pl.DataFrame(data), pa.table(data)):
        assert column_names(frame) == ("b", "a")
    assert column_names(pa.table(data).to_batches()[0]) == ("b", "a")
    for other in (np.eye(2), [[1]], pd.DataFrame(np.eye(2)), pd.DataFrame({"a": [1], 1: [2]})):
        assert column_names(other) is None
    assert column_names(pd.DataFrame([[1]], columns=[("a", "b")])) is None
    assert column_names(pd.Series([1], name="a")) is None and column_names(pd.DataFrame()) is None


def test_what_is_no_number_is_found():
    pd, pl, pa = (package(name) for name in ("pandas", "polars", "pyarrow"))
    data = {"age": [1.0, 2.0], "colour": ["red", "blue"]}
    frames = [pd.DataFrame(data), pl.DataFrame(data), pa.table(data)]
    frames += [pd.DataFrame(data).astype({"colour": "category"})]
    frames += [pl.DataFrame(data, schema_overrides={"colour": pl.Categorical})]
    for frame in frames:
        where = r"\(row 0, column 'colour' holds 'red'\): encode text .*get_dummies"
        with pytest.raises(TypeError, match=f"^X must hold real numbers, got dtype .* {where}"):
            real_array("X", frame)
    with pytest.raises(TypeError, match=r"\(row 1, column 0 holds 'a'\): encode"):
        real_array("X", [[1, 2], ["a", 3]])
    for labels in (["a", "b"], np.array(["a", "b"]), pd.Series(["a", "b"], dtype="category")):
        with pytest.raises(TypeError, match=r"\(row 0 holds 'a'\): encode .*LabelEncoder"):
            real_array("y", labels)
    dates = pd.DataFrame({"a": [1, 2], "when": pd.to_datetime(["2020-01-01", "2020-01-02"])})
    with pytest.raises(TypeError, match=r"datetime64\[.*\] in column 'when': turn dates"):
        real_array("X", dates)


def test_missing_values_are_found():
    pd, pl, pa = (package(name) for name in ("pandas", "polars", "pyarrow"))
    data = {"a": [1, 2, 3], "b": [4, None, 6]}
    frames = [pd.DataFrame(data, dtype="Int64"), pl.DataFrame(data), pa.table(data)]
    frames += [pd.DataFrame(data, dtype=object), pd.DataFrame(data, dtype="int64[pyarrow]")]
    for frame in frames:
        where = "in row 1, column 'b'$"
        with pytest.raises(ValueError, match=f"^X must have no missing values, got .* {where}"):
            real_array("X", frame)
        with pytest.raises(
            ValueError, match="^y_true must have no missing values, got .* in row 1"
        ):
            metrics.accuracy(frame["b"], [4, 5, 6])


def test_objects_that_are_numbers_are_taken_where_they_are_exact():
    for objects in (
        [1, 2.5],
        [True, 3],
        [Fraction(1, 4), Decimal("0.5")],
        [2**63, -1],
        [2**64 - 1, 0],
    ):
        array = real_array("X", np.array(objects, dtype=object))
        assert array.dtype.kind in "biuf" and array.tolist() == objects
    for wrong in (Decimal("0.1"), 2**53 + 1, 10**400, Fraction(1, 3)):
        with pytest.raises(TypeError, match=r"row 1 holds .*which float64 does not hold exactly"):
            real_array("y", np.array([1.0, wrong], dtype=object))
    with pytest.raises(TypeError, match=r"\(row 0, column 1 holds 1j\)"):
        real_array("X", np.array([[1, 1j]], dtype=object))
    assert real_array("X", np.zeros((0, 3), object)).dtype == np.float64


# ---- types and objects of other packages


def test_types_of_other_packages_are_refused_by_name():
    ml_dtypes = package("ml_dtypes")
    for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4"):
        x = np.ones((4, 2)).astype(getattr(ml_dtypes, name))
        wanted = rf"^X must hold real numbers, got dtype {name}: pass X.astype\('float32'\)$"
        net = fm.Network([2, 2])
        calls = (net.predict, partial(net.fit, y=[0, 1, 0, 1]), net.layers)
        for call in (*calls, partial(real_array, "X")):
            with pytest.raises(TypeError, match=wanted):
                call(x)
        with pytest.raises(TypeError, match=f"^y_true must hold real numbers, got dtype {name}"):
            metrics.mse(x, x)
        with pytest.raises(TypeError, match=f"^y_true must hold labels: .* got dtype {name}"):
            metrics.accuracy(x[:, 0], x[:, 0])
        assert fm.split(x, x, (0.5, 0.5))[0][0].dtype == x.dtype  # rows of any dtype are taken


@pytest.mark.parametrize(
    ("dtype", "hint"),
    [("c16", "real and imaginary"), ("M8[s]", "dates"), ("f4,f4", "structured"), ("V4", "float32")],
)
def test_types_that_are_no_numbers(dtype, hint):
    with pytest.raises(TypeError, match=f"^X must hold real numbers, got dtype .*: .*{hint}"):
        real_array("X", np.zeros((2, 2), dtype))


def test_objects_of_the_array_api():
    strict = package("array_api_strict")
    x = np.arange(6.0).reshape(3, 2)

    class Lent:
        """What offers its memory by DLPack alone."""

        def __dlpack__(self, **options):
            return x.__dlpack__(**options)

        def __dlpack_device__(self):
            return x.__dlpack_device__()

    for form in (strict.asarray(x), Lent()):
        assert np.array_equal(real_array("X", form), x)
        assert metrics.mse(form, x) == 0.0
        assert fm.split(form, form, (0.5, 0.5))[0][0].shape == (2, 2)

    class Broken:
        def __array__(self, *_, **__):
            raise RuntimeError("on another device")

    with pytest.raises(
        TypeError, match="^X must become a NumPy array, Broken does not: on another"
    ):
        real_array("X", Broken())


# ---- where a number is not finite


@common
@given(arrays(dtypes=["f2", "f4", "f8"]), st.sampled_from([np.nan, np.inf, -np.inf]), st.data())
def test_the_first_number_that_is_not_finite(x, bad, data):
    assert first_bad(x) is None
    places = data.draw(st.sets(st.integers(0, x.size - 1), min_size=1, max_size=3))
    x.flat[sorted(places)] = bad
    row, column = divmod(min(places), x.shape[1])
    for form in layouts(x):
        found = first_bad(form)
        assert found[:2] == (row, column) and np.array_equal(found[2], bad, equal_nan=True)
    assert first_bad(x.T.ravel()) is not None
    message = f"^X must hold finite numbers, got {bad} in row {row}, column {column}$"
    with pytest.raises(ValueError, match=message):
        refuse_not_finite("X", x)


def test_numbers_beyond_a_precision_and_in_large_arrays():
    x = np.zeros((300_000, 3))
    x[299_999, 2] = 1e300
    assert first_bad(x) is None and first_bad(x, np.float32) == (299_999, 2, 1e300)
    with (
        np.errstate(all="raise"),
        pytest.raises(ValueError, match="got 1e[+]300, beyond float32, in row 299999, column 'c'$"),
    ):
        refuse_not_finite("X", x, ("a", "b", "c"), np.float32)
    assert first_bad(np.float64([1, np.nan]))[:2] == (1, None)


# ---- rows and weights


def test_no_rows():
    assert rows_of("X", np.zeros((0, 3)), 3, empty=True).shape == (0, 3)
    with pytest.raises(ValueError, match=r"^X must have at least one row, got \(0, 3\)"):
        rows_of("X", np.zeros((0, 3)), 3)
    with pytest.raises(ValueError, match=r"^X must have the shape \(n, 3\), got \(0,\)$"):
        rows_of("X", [], 3, empty=True)


def test_weights_are_scaled_by_a_power_of_two_only_where_they_must_be():
    assert weights_of("w", None, 3) is None
    assert weights_of("w", [1, 3], 2).tolist() == [1, 3]
    for exponent in (-1074, -40, 40, 1020):
        given = np.ldexp([1.0, 2, 0], exponent)
        scaled = weights_of("w", given, 3)
        assert scaled.tolist() == [0.25, 0.5, 0]
        assert weights_of("w", given, 3, scaled=False).tolist() == given.tolist()
    with pytest.raises(ValueError, match="^w must be finite, .* got -1.0 in row 1$"):
        weights_of("w", [1, -1.0], 2)
