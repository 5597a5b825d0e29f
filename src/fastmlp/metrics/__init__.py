"""Metrics of classification and regression in NumPy, equal to scikit-learn's.

Formulas as in T. Hastie, R. Tibshirani and J. Friedman, The Elements of Statistical Learning
(2009), and C. D. Manning, P. Raghavan and H. Schütze, Introduction to Information Retrieval (2008,
ch. 8, 13).

What all of them share: arguments are arrays, lists, or frames and series of pandas, Polars or
Arrow, of any real dtype. A label is an integer (a float with a whole value and a bool count as one)
or a text, one a row, shape (n,) or (n, 1). `sample_weight`, shape (n,), holds a number >= 0 a row,
by default 1 each; weight 2 is the row given twice and weight 0 is the row left out. The result is a
Python float unless the function says otherwise.

Each raises ValueError, naming the argument, for lengths that differ, empty arrays, NaN, infinity,
masked or missing values and impossible options, and TypeError for values of a type that it has no
use for (complex numbers, text as numbers, text mixed with numbers).
"""

from .classification import (
    accuracy,
    classification_report,
    confusion_matrix,
    f1,
    precision,
    recall,
)
from .probabilities import log_loss, top_k_accuracy
from .regression import mae, mse, r2, rmse

__all__ = [
    "accuracy",
    "classification_report",
    "confusion_matrix",
    "f1",
    "log_loss",
    "mae",
    "mse",
    "precision",
    "r2",
    "recall",
    "rmse",
    "top_k_accuracy",
]


def __dir__() -> list[str]:
    return __all__
