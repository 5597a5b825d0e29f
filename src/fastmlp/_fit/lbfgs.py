"""L-BFGS: SciPy's quasi-Newton minimiser over the gradient of the whole cost."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._model import Model, Pair
from ..errors import DivergenceError
from .run import Run

DIVERGED = "the loss stopped being finite in L-BFGS: the last finite weights are kept"

# What SciPy's status tells of a minimisation that ended by itself.
_CONVERGED, _LIMIT = 0, 1


class _Stop(Exception):
    """Carries out of the minimiser why training stops."""


def require_scipy() -> None:
    """Raise ImportError that says what to install where SciPy is missing."""
    try:
        import scipy.optimize  # noqa: F401
    except ImportError as error:
        raise ImportError("L-BFGS needs SciPy: pip install fastmlp[lbfgs]") from error


def train(run: Run) -> str | None:
    """Minimise the cost, an iteration an epoch; return why it stopped, None at the last."""
    from scipy.optimize import minimize

    model, data, settings = run.model, run.data, run.settings
    optimizer: Any = settings.optimizer

    def cost_and_gradient(vector: np.ndarray) -> tuple[float, np.ndarray]:
        model.set_parameters(_pairs(model, vector))
        with run.interrupts.immediate():
            loss, pairs = model.core.gradient(data.core, model.l1, model.l2, settings.threads)
        return loss + model.penalty(), _vector(pairs)

    def end_iteration(intermediate_result: Any) -> None:
        if not np.isfinite(intermediate_result.fun):
            raise DivergenceError(DIVERGED)
        model.set_parameters(_pairs(model, intermediate_result.x))
        accepted[:] = intermediate_result.x
        run.training.epochs += 1
        loss = float(intermediate_result.fun - model.penalty())
        try:
            reason = run.end_epoch({"epoch": run.training.epochs, "loss": loss})
        except StopIteration as error:  # of a callback: the minimiser would take it for its own
            raise _Stop from error
        if reason:
            raise _Stop(reason)

    accepted = _vector(model.get_parameters())
    iterations = settings.epochs
    if optimizer.max_iterations is not None:
        iterations = min(iterations, optimizer.max_iterations)
    if not iterations:
        return None
    options = {
        "maxiter": iterations,
        "maxcor": optimizer.memory,
        "gtol": optimizer.tolerance,
        "ftol": 0.0,
        "maxfun": 20 * iterations + 20,
    }
    try:
        result = minimize(
            cost_and_gradient,
            accepted.copy(),
            jac=True,
            method="L-BFGS-B",
            callback=end_iteration,
            options=options,
        )
    except _Stop as stop:
        if stop.__cause__ is not None:
            raise stop.__cause__ from None
        return str(stop)
    finally:
        # a line search may have been under way
        model.set_parameters(_pairs(model, accepted))
    if not np.isfinite(result.fun):
        raise DivergenceError(DIVERGED)
    if result.status == _CONVERGED:
        return "tolerance"
    if result.status != _LIMIT:
        return "line search"
    return None if result.nit >= iterations else "evaluations"


def _vector(pairs: list[Pair]) -> np.ndarray:
    """Return all weights and biases, or their gradients, as one float64 vector."""
    return np.concatenate([array.ravel() for pair in pairs for array in pair], dtype=np.float64)


def _pairs(model: Model, vector: np.ndarray) -> list[Pair]:
    """Return a vector's (weights, bias) of each layer."""
    pairs, at = [], 0
    for (n_out, n_in), _ in model.shapes:
        end = at + n_out * n_in
        pairs.append((vector[at:end].reshape(n_out, n_in), vector[end : end + n_out]))
        at = end + n_out
    return pairs
