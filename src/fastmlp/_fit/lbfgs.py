"""L-BFGS: SciPy's quasi-Newton minimiser over the gradient of the whole cost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from ..errors import DivergenceError
from ..optimizers import LBFGS

if TYPE_CHECKING:
    from .._fit.fit import Run


DIVERGED = "the loss stopped being finite in L-BFGS: the last finite weights are kept"


class _Stop(Exception):
    """Carries out of the minimiser why training stops."""


def train(run: Run, optimizer: LBFGS, threads: int) -> str | None:
    """Minimise the cost over all rows, one iteration an epoch; return why it stopped, or None at the last epoch."""
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise ImportError("L-BFGS needs SciPy: pip install fastmlp[lbfgs]") from error
    network, data = run.network, run.data
    began = time.perf_counter()

    def parameters() -> np.ndarray:
        return np.concatenate(
            [p.ravel() for layer in network._layers for p in network._net.get_layer(layer)],
            dtype=np.float64,
        )

    def put(vector: np.ndarray) -> None:
        at = 0
        for layer in network._layers:
            n_out, n_in = network.sizes[layer], network.sizes[layer - 1]
            weights = vector[at : at + n_out * n_in].reshape(n_out, n_in)
            at += n_out * n_in
            network._net.set_layer(layer, weights, vector[at : at + n_out])
            at += n_out

    def cost_and_gradient(vector: np.ndarray) -> tuple[float, np.ndarray]:
        run.interrupts.check()
        put(vector)
        try:
            loss, pairs = network._net.gradient(
                data.core, network.l1, network.l2, threads, run.interrupts.is_pending
            )
        except _core.Stopped:
            run.interrupts.check()
            raise
        gradient = np.concatenate([g.ravel() for pair in pairs for g in pair], dtype=np.float64)
        return loss + network.penalty(), gradient

    def end_iteration(intermediate_result: Any) -> None:
        nonlocal began
        if not np.isfinite(intermediate_result.fun):
            raise DivergenceError(DIVERGED)
        put(intermediate_result.x)
        accepted[:] = intermediate_result.x
        network.epochs += 1
        loss = intermediate_result.fun - network.penalty()
        now = time.perf_counter()
        try:
            reason = run.end_epoch(float(loss), now - began)
        except StopIteration as error:  # of a callback: the minimiser would take it for its own
            raise _Stop from error
        began = now
        if reason:
            raise _Stop(reason)

    accepted = parameters()
    iterations = (
        run.epochs
        if optimizer.max_iterations is None
        else min(run.epochs, optimizer.max_iterations)
    )
    if not iterations:
        return None
    try:
        result = minimize(
            cost_and_gradient, accepted.copy(), jac=True, method="L-BFGS-B", callback=end_iteration,
            options={"maxiter": iterations, "maxcor": optimizer.memory, "gtol": optimizer.tolerance, "ftol": 0.0,
                     "maxfun": 20 * iterations + 20},
        )  # fmt: skip
    except _Stop as stop:
        if stop.__cause__ is not None:
            raise stop.__cause__ from None
        return str(stop)
    finally:
        put(accepted)  # a line search may have been under way
    if not np.isfinite(result.fun):
        raise DivergenceError(DIVERGED)
    return None if result.nit >= run.epochs else "tolerance"
