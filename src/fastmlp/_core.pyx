# _core.pyx -- the binding: arrays to the engine's structures, statuses to exceptions
# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Typed binding of the compiled engine. The Python modules that call it check arguments."""

import os
import threading
import time
import warnings
from itertools import pairwise
from _thread import get_ident

import numpy as np

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.string cimport memcpy, memset

cnp.import_array()


cdef tuple names_of(const char *(*name)(int) noexcept nogil):
    names = []
    while name(len(names)) != NULL:
        names.append(name(len(names)).decode())
    return tuple(names)


ACTIVATIONS = names_of(fm_activation_name)
LOSSES = names_of(fm_loss_name)
OPTIMIZERS = names_of(fm_optimizer_name)
# optimizer: names of its constants beside the learning rate
OPTIMIZER_CONSTANTS = {
    name: tuple(fm_optimizer_constants(i).decode().split(", ")) for i, name in enumerate(OPTIMIZERS)
}
AUGMENT_NOISE, AUGMENT_MASK, AUGMENT_AFFINE = FM_AUGMENT_NOISE, FM_AUGMENT_MASK, FM_AUGMENT_AFFINE
COMPILER = fm_compiler().decode()
OPENMP = bool(fm_threads_openmp())


def instruction_sets():
    """Return (name, supported by this processor) of each instruction set built in, best first."""
    sets = []
    while fm_isa_name(len(sets)) != NULL:
        sets.append((fm_isa_name(len(sets)).decode(), bool(fm_isa_supported(len(sets)))))
    return sets


def _chosen_isa():
    wanted = os.environ.get("FASTMLP_ISA", "")
    usable = [name for name, supported in instruction_sets() if supported]
    if wanted and wanted not in usable:
        raise ImportError(
            f"FASTMLP_ISA={wanted!r} names no instruction set of this build and processor; "
            f"there are: {', '.join(usable)}")
    return wanted or usable[0]


ISA = _chosen_isa()


def default_threads():
    """Return the number of threads used where the caller names none."""
    return fm_threads_default()


def fail_allocation(long nth):
    """Make the nth allocation of the engine from now on fail; 0 switches this off. For tests."""
    fm_fail_allocation(nth)


def limit_chunks(double work):
    """Cut rows into chunks of so many multiply-adds; 0: of 2^30, as usual. For tests."""
    fm_limit_chunks(work)


def free_threads(bint on):
    """Let every pass take all threads that the caller allows, worth it or not. For tests."""
    fm_plan_free_threads(on)


cpdef warn_of_refused_threads():
    """Issue a RuntimeWarning, once in a process, if the system has refused the engine threads."""
    cdef int wanted, granted
    if fm_threads_refused(&wanted, &granted):
        warnings.warn(
            f"the system refused fastmlp a thread: {wanted} were wanted, {granted} could be had. "
            "The work goes on with fewer threads, more slowly and with the same results. What "
            "limits them is ulimit -u, pids.max of the container or memory for their stacks",
            RuntimeWarning, stacklevel=2)


cdef const fm_kernels *kernels_of(isa, dtype) except NULL:
    cdef bytes isa_name = (isa or ISA).encode(), dtype_name = dtype.encode()
    cdef const fm_kernels *kernels = fm_kernels_find(isa_name, dtype_name)
    if kernels == NULL:
        raise ValueError(f"no kernels for instruction set {isa!r} and dtype {dtype!r}")
    return kernels


def activate(name, double alpha, z, isa=None):
    """Return (f(z), f'(z)) of an activation that acts on each element, in the dtype of z."""
    z = np.asarray(z)
    cdef const fm_kernels *kernels = kernels_of(isa, z.dtype.name)
    cdef size_t count = -(-z.size // 16) * 16
    cdef cnp.ndarray a = aligned_zeros(count, z.dtype), slope = aligned_zeros(count, z.dtype)
    if name not in ACTIVATIONS or name == "softmax":
        raise ValueError(f"no such activation of single elements: {name!r}")
    a[:z.size] = z.reshape(-1)
    fm_kernels_activate(kernels, ACTIVATIONS.index(name), alpha, cnp.PyArray_DATA(a),
                        cnp.PyArray_DATA(slope), count)
    return a[:z.size].reshape(z.shape), slope[:z.size].reshape(z.shape)


def fma_peak(dtype="float32", int threads=0, double seconds=0.2, isa=None):
    """Return the GF/s (2 a multiply-add) of `threads` threads with everything in registers."""
    cdef const fm_kernels *kernels = kernels_of(isa, dtype)
    cdef int count = threads or fm_threads_default()
    cdef double peak
    with nogil:
        peak = fm_kernels_peak(kernels, count, seconds)
    return peak


def thread_latency(int threads=0, double patience=0.02):
    """Return what it costs threads to work together, as (barrier, line, speed).

    These are the seconds of a barrier of `threads` threads and of a cache line's way to another and
    back, and the speed of one thread while all work, over its speed alone. All are 1 if `patience`
    seconds have passed and threads still take turns on a processor.
    """
    cdef int count = threads or fm_threads_default()
    cdef fm_latency latency
    with nogil:
        latency = fm_threads_latency(count, patience)
    return latency.barrier, latency.line, latency.speed


cdef check(fm_status status, str argument="X"):
    if status == FM_OK:
        return
    message = fm_status_message(status).decode()
    if status == FM_OUT_OF_MEMORY:
        raise MemoryError(message)
    if status == FM_NOT_FINITE:
        raise ValueError(f"{argument} must hold finite numbers: {message}")
    if status == FM_STOPPED:
        raise Stopped(message)
    raise ValueError(message)


include "_binding/caller.pxi"
include "_binding/data.pxi"
include "_binding/net.pxi"
include "_binding/trainer.pxi"
