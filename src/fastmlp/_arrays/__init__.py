"""Containers into arrays: what a caller may give as rows, targets, labels and weights."""

from .containers import (
    container_of,
    first_bad,
    real_array,
    refuse_masked,
    refuse_not_finite,
    rows_of,
    scaled_weights,
    weights_of,
)
from .faults import READABLE, place, quiet
from .frames import column_names, take
from .labels import class_codes, holds_text, label_array

__all__ = [
    "READABLE",
    "class_codes",
    "column_names",
    "container_of",
    "first_bad",
    "holds_text",
    "label_array",
    "place",
    "quiet",
    "real_array",
    "refuse_masked",
    "refuse_not_finite",
    "rows_of",
    "scaled_weights",
    "take",
    "weights_of",
]
