# _core.pyx -- the binding: arrays to the engine's structures, the GIL dropped, statuses to exceptions
# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Typed binding of the compiled engine. Arguments are checked by the Python modules that call it."""

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
OPTIMIZER_CONSTANTS = {name: tuple(fm_optimizer_constants(i).decode().split(", ")) for i, name in enumerate(OPTIMIZERS)}
AUGMENT_NOISE, AUGMENT_MASK, AUGMENT_AFFINE = FM_AUGMENT_NOISE, FM_AUGMENT_MASK, FM_AUGMENT_AFFINE
COMPILER = fm_compiler().decode()
OPENMP = bool(fm_threads_openmp())


def instruction_sets():
    """Return (name, supported by this processor) of every instruction set compiled in, best first."""
    sets = []
    while fm_isa_name(len(sets)) != NULL:
        sets.append((fm_isa_name(len(sets)).decode(), bool(fm_isa_supported(len(sets)))))
    return sets


def _chosen_isa():
    wanted = os.environ.get("FASTMLP_ISA", "")
    usable = [name for name, supported in instruction_sets() if supported]
    if wanted and wanted not in usable:
        raise ImportError(f"FASTMLP_ISA={wanted!r} names no instruction set of this build and processor; "
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
    """Cut rows into chunks of so many multiply-adds, in place of 2^30; 0 sets that again. For tests."""
    fm_limit_chunks(work)


def free_threads(bint on):
    """Let every pass take as many threads as the caller allows, whether its work pays for them or not. For tests."""
    fm_plan_free_threads(on)


cpdef warn_of_refused_threads():
    """Issue a RuntimeWarning, once in a process, if the system has refused threads to the engine."""
    cdef int wanted, granted
    if fm_threads_refused(&wanted, &granted):
        warnings.warn(
            f"the system refused fastmlp a thread: {wanted} were wanted, {granted} could be had. The work goes on "
            "with fewer threads, more slowly and with the same results. What limits them is ulimit -u, pids.max of "
            "the container or memory for their stacks",
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
    fm_kernels_activate(kernels, ACTIVATIONS.index(name), alpha, cnp.PyArray_DATA(a), cnp.PyArray_DATA(slope), count)
    return a[:z.size].reshape(z.shape), slope[:z.size].reshape(z.shape)


def fma_peak(dtype="float32", int threads=0, double seconds=0.2, isa=None):
    """Return the GF/s (2 a multiply-add) that `threads` threads reach with everything in registers."""
    cdef const fm_kernels *kernels = kernels_of(isa, dtype)
    cdef int count = threads or fm_threads_default()
    cdef double peak
    with nogil:
        peak = fm_kernels_peak(kernels, count, seconds)
    return peak


def thread_latency(int threads=0, double patience=0.02):
    """Return the seconds that a barrier of `threads` threads takes, and a cache line's way to another and back; and the
    speed of one thread while all work, over its speed alone. All are 1 if after `patience` seconds threads still share
    a processor."""
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


class Stopped(Exception):
    """A pass was given up because its `stop` said so."""


cdef int ask(void *context) noexcept with gil:
    """Whether the engine should stop; called by the thread that called the engine."""
    cdef Caller caller = <Caller>context
    try:
        PyErr_CheckSignals()  # does nothing in another thread than the main one
        return caller.stop is not None and bool(caller.stop())
    except BaseException as error:
        caller.error = error
        return 1


cdef class Caller:
    """Who waits for the engine, and may want a stop: by `stop`, or by what a signal handler raises."""

    cdef object stop, error
    cdef fm_stop callback
    cdef const fm_stop *asked  # NULL where there is nothing to ask

    def __cinit__(self, stop):
        self.stop = stop
        self.callback.ask, self.callback.context = ask, <void *>self
        if stop is not None or get_ident() == threading.main_thread().ident:
            self.asked = &self.callback

    cdef int check(self, fm_status status, str argument="X") except -1:
        """Raise what a handler or `stop` has raised, or the status that is an error; warn if threads are few."""
        warn_of_refused_threads()
        return self.raise_error(status, argument)

    cdef int raise_error(self, fm_status status, str argument="X") except -1:
        if self.error is not None:
            raise self.error
        check(status, argument)
        return 0


cdef dict DTYPES = {
    "b1": FM_DTYPE_uint8, "i1": FM_DTYPE_int8, "u1": FM_DTYPE_uint8, "i2": FM_DTYPE_int16, "u2": FM_DTYPE_uint16,
    "i4": FM_DTYPE_int32, "u4": FM_DTYPE_uint32, "i8": FM_DTYPE_int64, "u8": FM_DTYPE_uint64,
    "f2": FM_DTYPE_float16, "f4": FM_DTYPE_float32, "f8": FM_DTYPE_float64,
    np.dtype(np.longdouble).str[1:]: FM_DTYPE_longdouble if np.dtype(np.longdouble).itemsize > 8 else FM_DTYPE_float64,
}


cdef fm_matrix matrix_of(cnp.ndarray array, bint labels=False) except *:
    """Describe a real array (n, columns) or (n,) where it lies."""
    cdef fm_matrix matrix
    cdef int type_number = cnp.PyArray_TYPE(array)
    if type_number == cnp.NPY_FLOAT32:
        matrix.dtype = FM_DTYPE_float32
    elif type_number == cnp.NPY_FLOAT64:
        matrix.dtype = FM_DTYPE_float64
    else:
        matrix.dtype = DTYPES[array.dtype.str[1:]]
    matrix.data = cnp.PyArray_DATA(array)
    matrix.rows = <size_t>cnp.PyArray_DIM(array, 0)
    matrix.row_stride = cnp.PyArray_STRIDE(array, 0)
    matrix.columns = <size_t>cnp.PyArray_DIM(array, 1) if cnp.PyArray_NDIM(array) == 2 else 1
    matrix.column_stride = cnp.PyArray_STRIDE(array, 1) if cnp.PyArray_NDIM(array) == 2 else cnp.PyArray_ITEMSIZE(array)
    matrix.swapped = not cnp.PyArray_ISNOTSWAPPED(array)
    matrix.labels = labels
    return matrix


cdef class Data:
    """Rows for a pass or a training, described where they lie; the arrays are kept alive, and not copied.

    ``X`` (n, n_0) and ``y`` are real arrays of any dtype and layout; with ``labels``, y holds int64 labels (n,).
    ``sample_weight`` (n,) becomes float64. ``rows`` (uint32) picks rows of all three, in its order.
    """

    cdef fm_data data
    cdef readonly cnp.ndarray X, y, sample_weight, rows

    def __cinit__(self, cnp.ndarray X not None, cnp.ndarray y=None, bint labels=False,
                  cnp.ndarray sample_weight=None, cnp.ndarray rows=None):
        memset(&self.data, 0, sizeof(self.data))
        if sample_weight is not None:
            sample_weight = np.ascontiguousarray(sample_weight, np.float64)
        if rows is not None:
            rows = np.ascontiguousarray(rows, np.uint32)
        if any(array is not None and len(array) != len(X) for array in (y, sample_weight)):
            raise ValueError("X, y and sample_weight must have one length")
        self.X, self.y, self.sample_weight, self.rows = X, y, sample_weight, rows
        self.data.x = matrix_of(X)
        self.data.rows = self.data.x.rows
        if y is not None:
            self.data.y = matrix_of(y, labels)
        if sample_weight is not None:
            self.data.sample_weight = <const double *>cnp.PyArray_DATA(sample_weight)
        if rows is not None:
            self.data.index = <const uint32_t *>cnp.PyArray_DATA(rows)
            self.data.rows = <size_t>cnp.PyArray_DIM(rows, 0)

    @property
    def n_rows(self):
        """Number of rows, of ``rows`` where there are such."""
        return self.data.rows


cdef class Net:
    """Layers and parameters of one network in the engine.

    ``activations`` are (name, parameter) of layers 1 ... L-1; ``dropout`` has the rates of layers 0 ... L-2.
    """

    cdef fm_net *net
    cdef readonly tuple sizes
    cdef readonly object dtype
    cdef int type_number
    cdef size_t work_of_row
    cdef dict readers  # thread: its passes under way that let the GIL go
    cdef bint written  # a training or an assignment is under way
    cdef int process  # that the two are of

    def __cinit__(self, sizes, activations, dropout, loss, double loss_parameter, dtype, isa=None):
        cdef size_t layers = len(sizes), l
        cdef fm_net_config config
        cdef size_t *c_sizes = <size_t *>PyMem_Malloc(layers * (sizeof(size_t) + sizeof(int) + 2 * sizeof(double)))
        if c_sizes == NULL:
            raise MemoryError
        cdef double *alphas = <double *>(c_sizes + layers)
        cdef double *rates = alphas + layers
        cdef int *codes = <int *>(rates + layers)
        try:
            for l in range(layers):
                c_sizes[l] = sizes[l]
                codes[l] = ACTIVATIONS.index(activations[l - 1][0]) if l > 0 else 0
                alphas[l] = activations[l - 1][1] if l > 0 else 0
                rates[l] = dropout[l] if l < layers - 1 else 0
            config.n_layers, config.sizes, config.activations = layers, c_sizes, codes
            config.alphas, config.dropout = alphas, rates
            config.loss, config.loss_parameter = LOSSES.index(loss), loss_parameter
            config.kernels = kernels_of(isa, dtype)
            check(fm_net_create(&self.net, &config))
        finally:
            PyMem_Free(c_sizes)
        self.sizes = tuple(sizes)
        self.dtype = np.dtype(dtype)
        self.type_number = self.dtype.num
        self.work_of_row = fm_net_param_count(self.net)
        self.readers, self.process = {}, os.getpid()

    def __dealloc__(self):
        fm_net_free(self.net)

    @property
    def isa(self):
        """Name of the instruction set whose kernels this network runs."""
        return fm_kernels_isa(fm_net_kernels(self.net)).decode()

    cdef cnp.ndarray empty(self, size_t rows, size_t columns):
        cdef cnp.npy_intp shape[2]
        shape[0], shape[1] = <cnp.npy_intp>rows, <cnp.npy_intp>columns
        return cnp.PyArray_EMPTY(2, shape, self.type_number, 0)

    cdef tuple layer_of(self, size_t layer, void *panels):
        weights = self.empty(self.sizes[layer], self.sizes[layer - 1])
        bias = np.empty(self.sizes[layer], self.dtype)
        fm_layer_get(self.net, layer, panels, cnp.PyArray_DATA(weights), cnp.PyArray_DATA(bias))
        return weights, bias

    cdef set_layer_of(self, size_t layer, void *panels, weights, bias):
        cdef cnp.ndarray w = np.ascontiguousarray(weights, self.dtype), b = np.ascontiguousarray(bias, self.dtype)
        if (w.shape[0], w.shape[1], b.shape[0]) != (self.sizes[layer], self.sizes[layer - 1], self.sizes[layer]):
            raise ValueError("weights and bias do not fit the layer")
        fm_layer_set(self.net, layer, panels, cnp.PyArray_DATA(w), cnp.PyArray_DATA(b))

    # -- readers and a writer of the parameters, counted with the GIL held

    cdef int refuse_if_written(self) except -1:
        if self.written:
            if self.process != os.getpid():  # whoever was at it is not here to end it
                raise RuntimeError("the network's parameters are half changed: another thread trained it when this "
                                   "process was forked; make or load a network here")
            raise RuntimeError("the network's parameters are being changed: a training or an assignment is under way")
        return 0

    cdef forget_after_fork(self):
        """A forked process is without the threads that were reading."""
        if self.process != os.getpid():
            self.readers.clear()
            self.process = os.getpid()

    cdef int begin_read(self) except -1:
        """For what lets the GIL go while it reads the parameters."""
        self.refuse_if_written()
        thread = get_ident()
        self.forget_after_fork()
        self.readers[thread] = self.readers.get(thread, 0) + 1
        return 0

    cdef int end_read(self) except -1:
        thread = get_ident()
        self.readers[thread] -= 1
        if not self.readers[thread]:
            del self.readers[thread]
        return 0

    cdef int begin_write(self) except -1:
        """Wait until the readers of other threads are gone; new ones are refused from now on."""
        self.refuse_if_written()
        self.forget_after_fork()
        if get_ident() in self.readers:
            raise RuntimeError("the network's parameters cannot be changed while a pass of the same thread reads them")
        self.written = True
        try:
            while self.readers:
                time.sleep(0.0005)
        except BaseException:
            self.written = False
            raise
        return 0

    cdef int end_write(self) except -1:
        self.written = False
        return 0

    # -- parameters

    def get_layer(self, size_t layer):
        """Return copies of the weights (n_l, n_(l-1)) and the bias (n_l,) of layer l >= 1."""
        self.refuse_if_written()
        return self.layer_of(layer, fm_net_params(self.net))

    def set_layer(self, size_t layer, weights, bias):
        """Set the weights (n_l, n_(l-1)) and the bias (n_l,) of layer l >= 1."""
        self.begin_write()
        try:
            self.set_layer_of(layer, fm_net_params(self.net), weights, bias)
        finally:
            self.end_write()

    def get_layers(self):
        """Return copies of (weights, bias) of all layers, as they are at one moment."""
        cdef cnp.ndarray weights, bias
        cdef size_t l
        pairs = [(self.empty(n_out, n_in), np.empty(n_out, self.dtype)) for n_in, n_out in pairwise(self.sizes)]
        self.refuse_if_written()  # from here on the GIL is not let go
        for l in range(1, len(self.sizes)):
            weights, bias = pairs[l - 1]
            fm_layer_get(self.net, l, fm_net_params(self.net), cnp.PyArray_DATA(weights), cnp.PyArray_DATA(bias))
        return pairs

    def set_layers(self, pairs):
        """Set (weights, bias) of all layers, at one moment."""
        cdef cnp.ndarray weights, bias
        cdef size_t l
        ready = [tuple(np.ascontiguousarray(array, self.dtype) for array in pair) for pair in pairs]
        wanted = [((n_out, n_in), (n_out,)) for n_in, n_out in pairwise(self.sizes)]
        if [(w.shape, b.shape) for w, b in ready] != wanted:
            raise ValueError("the weights and biases do not fit the layers")
        self.begin_write()
        for l in range(1, len(self.sizes)):
            weights, bias = ready[l - 1]
            fm_layer_set(self.net, l, fm_net_params(self.net), cnp.PyArray_DATA(weights), cnp.PyArray_DATA(bias))
        self.end_write()

    def get_params(self):
        """Return a copy of all parameters in the engine's own order, for `set_params`."""
        self.refuse_if_written()
        cdef cnp.ndarray copy = np.empty(fm_net_param_count(self.net), self.dtype)
        memcpy(cnp.PyArray_DATA(copy), fm_net_params(self.net), copy.nbytes)
        return copy

    def set_params(self, cnp.ndarray params):
        """Set all parameters from what `get_params` of this network returned."""
        if <size_t>params.size != fm_net_param_count(self.net) or params.dtype != self.dtype:
            raise ValueError("params do not fit the network")
        self.begin_write()
        memcpy(fm_net_params(self.net), cnp.PyArray_DATA(params), params.nbytes)
        self.end_write()

    # -- passes. `stop`: a callable that is asked every 50 ms or so whether to give the pass up; then Stopped is
    # raised. In the main thread signals are handled as often, and what a handler raises ends the pass too.

    def check_finite(self, cnp.ndarray array, str argument, int threads=0):
        """Raise ValueError if the array holds NaN, infinity or what this network's dtype makes infinite."""
        cdef fm_matrix matrix = matrix_of(array)
        cdef Caller caller = Caller(None)
        cdef fm_status status
        with nogil:
            status = fm_matrix_check(self.net, &matrix, threads, caller.asked)
        caller.check(status, argument)

    def predict(self, cnp.ndarray X, int threads=0):
        """Return the outputs (n, n_(L-1)) for X (n, n_0)."""
        cdef fm_data data
        memset(&data, 0, sizeof(data))
        data.x = matrix_of(X)
        data.rows = data.x.rows
        cdef cnp.ndarray out = self.empty(data.rows, self.sizes[len(self.sizes) - 1])
        cdef void *to = cnp.PyArray_DATA(out)
        cdef fm_status status
        cdef Caller caller
        if data.rows * self.work_of_row < 1000000:  # less than the GIL's way there and back is worth
            self.refuse_if_written()
            status = fm_predict(self.net, &data, to, threads, NULL)
            warn_of_refused_threads()
            if status != FM_OK:
                check(status)
            return out
        caller = Caller(None)
        self.begin_read()
        with nogil:
            status = fm_predict(self.net, &data, to, threads, caller.asked)
        self.end_read()
        caller.check(status)
        return out

    def layers(self, cnp.ndarray X, int threads=0):
        """Return [(z, a), ...] of layers 1 ... L-1 for X (n, n_0)."""
        cdef Data data = Data(X)
        cdef size_t n = data.data.rows, layers = len(self.sizes), l
        cdef Caller caller = Caller(None)
        cdef fm_status status
        values = [(self.empty(n, units), self.empty(n, units)) for units in self.sizes[1:]]
        cdef void **to = <void **>PyMem_Malloc(2 * layers * sizeof(void *))
        if to == NULL:
            raise MemoryError
        try:
            for l in range(1, layers):
                to[l] = cnp.PyArray_DATA(values[l - 1][0])
                to[layers + l] = cnp.PyArray_DATA(values[l - 1][1])
            self.begin_read()
            with nogil:
                status = fm_layer_values(self.net, &data.data, to, to + layers, threads, caller.asked)
            self.end_read()
        finally:
            PyMem_Free(to)
        caller.check(status)
        return values

    def loss(self, Data data not None, int threads=0, stop=None):
        """Return the weighted mean loss, penalties not included, and the outputs (n, n_(L-1))."""
        cdef cnp.ndarray out = self.empty(data.data.rows, self.sizes[len(self.sizes) - 1])
        cdef void *to = cnp.PyArray_DATA(out)
        cdef double loss
        cdef Caller caller = Caller(stop)
        cdef fm_status status
        require_targets(data)
        self.begin_read()
        with nogil:
            status = fm_loss(self.net, &data.data, &loss, to, threads, caller.asked)
        self.end_read()
        caller.check(status)
        return loss, out

    def gradient(self, Data data not None, double l1=0, double l2=0, int threads=0, stop=None):
        """Return the mean loss and [(dW, db), ...] of it and the penalties, dropout off."""
        cdef cnp.ndarray panels = aligned_zeros(fm_net_param_count(self.net), self.dtype)
        cdef void *to = cnp.PyArray_DATA(panels)
        cdef double loss
        cdef Caller caller = Caller(stop)
        cdef fm_status status
        require_targets(data)
        self.begin_read()
        with nogil:
            status = fm_gradient(self.net, &data.data, l1, l2, &loss, to, threads, caller.asked)
        self.end_read()
        caller.check(status)
        return loss, [self.layer_of(l, to) for l in range(1, len(self.sizes))]

    def input_gradient(self, Data data not None, int threads=0):
        """Return dC_i/dx (n, n_0) for every row on its own."""
        cdef cnp.ndarray out = self.empty(data.data.rows, data.data.x.columns)
        cdef void *to = cnp.PyArray_DATA(out)
        cdef Caller caller = Caller(None)
        cdef fm_status status
        require_targets(data)
        self.begin_read()
        with nogil:
            status = fm_input_gradient(self.net, &data.data, to, threads, caller.asked)
        self.end_read()
        caller.check(status)
        return out


cdef require_targets(Data data):
    if data.y is None:
        raise ValueError("data must have targets y")


cdef cnp.ndarray aligned_zeros(size_t count, dtype):
    """Zeros whose first element starts a cache line, as the kernels demand. They are written, not only promised by
    the system: a gigabyte may take seconds, between whose parts signals are handled."""
    raw = np.empty(count * dtype.itemsize + 63, np.uint8)
    for first in range(0, raw.size, 1 << 25):
        raw[first:first + (1 << 25)] = 0
        PyErr_CheckSignals()
    start = -raw.ctypes.data % 64
    return raw[start:start + count * dtype.itemsize].view(dtype)


cdef class Trainer:
    """An optimizer at work on a network: moments, random stream and place in it.

    ``constants`` has a value for each name in OPTIMIZER_CONSTANTS of the optimizer. ``augment`` are dicts with the
    fields of the engine's ``fm_augment``; ``kind`` is its index there.
    """

    cdef fm_trainer *trainer
    cdef readonly Net net
    cdef readonly int moments

    def __cinit__(self, Net net, optimizer, constants, int moments, size_t batch_size, double l1=0, double l2=0,
                  double max_norm=0, double clip_norm=0, double ema=0, seed=0, bint shuffle=True,
                  bint record_norm=False, int threads=0, augment=(), epoch=0, step=0):
        cdef fm_train train
        cdef fm_train_state state
        memset(&train, 0, sizeof(train))
        if len(augment) > FM_MAX_AUGMENT:
            raise ValueError("too many augmentations")
        names = OPTIMIZER_CONSTANTS[optimizer]
        if set(constants) != set(names):
            raise ValueError(f"constants of {optimizer} must be {', '.join(names)}, got {', '.join(constants) or 'none'}")
        train.optimizer, train.moments = OPTIMIZERS.index(optimizer), moments
        for i, name in enumerate(names):
            train.constants.value[i] = constants[name]
        train.l1, train.l2, train.max_norm, train.clip_norm, train.ema = l1, l2, max_norm, clip_norm, ema
        train.seed, train.batch_size, train.shuffle = seed, batch_size, shuffle
        train.record_norm, train.threads, train.augments = record_norm, threads, len(augment)
        for i, change in enumerate(augment):
            train.augment[i] = change
        state.epoch, state.step = epoch, step
        check(fm_trainer_create(&self.trainer, net.net, &train, state))
        self.net = net
        self.moments = moments

    def __dealloc__(self):
        fm_trainer_free(self.trainer)

    @property
    def threads(self):
        """Most threads that a step may use; how many it does is decided anew in every run."""
        return fm_trainer_threads(self.trainer)

    @property
    def epoch(self):
        """Epochs ended so far: names the random stream."""
        return fm_trainer_state(self.trainer).epoch

    @property
    def step(self):
        """Optimizer steps taken so far."""
        return fm_trainer_state(self.trainer).step

    @property
    def averages(self):
        """Whether there are averaged parameters: a step with `ema` has been taken, or they were set."""
        return bool(fm_trainer_average_begun(self.trainer))

    def adopt(self, Trainer other):
        """Take over moments and averaged parameters of another trainer of the same network and optimizer."""
        if other.net is not self.net or other.moments != self.moments:
            raise ValueError("the trainers must be of one network and optimizer")
        self.net.refuse_if_written()
        fm_trainer_adopt(self.trainer, other.trainer)

    cdef void *moment(self, int index) except NULL:
        self.net.refuse_if_written()
        if not 0 <= index < self.moments:
            raise IndexError(f"the optimizer has {self.moments} moments, got index {index}")
        return fm_trainer_moment(self.trainer, index)

    cdef void *average(self) except NULL:
        self.net.refuse_if_written()
        cdef void *panels = fm_trainer_average(self.trainer)
        if panels == NULL:
            raise ValueError("the trainer has no averaged parameters")
        return panels

    def get_moment(self, int index, size_t layer):
        """Return moment array `index` of layer l >= 1, shaped as (weights, bias)."""
        return self.net.layer_of(layer, self.moment(index))

    def set_moment(self, int index, size_t layer, weights, bias):
        """Set moment array `index` of layer l >= 1."""
        self.net.set_layer_of(layer, self.moment(index), weights, bias)

    def get_average(self, size_t layer):
        """Return the averaged (weights, bias) of layer l >= 1."""
        return self.net.layer_of(layer, self.average())

    def set_average(self, size_t layer, weights, bias):
        """Set the averaged (weights, bias) of layer l >= 1."""
        self.net.set_layer_of(layer, self.average(), weights, bias)
        fm_trainer_average_set(self.trainer)

    def drop_average(self):
        """Forget the averaged parameters: the next step that goes into them begins anew."""
        self.net.refuse_if_written()
        fm_trainer_average_drop(self.trainer)

    # -- the epoch under way

    @property
    def epoch_state(self):
        """Rows of the epoch under way that are done (position), and sums over them and their steps."""
        self.net.refuse_if_written()
        return dict(fm_trainer_epoch(self.trainer))

    def set_epoch_state(self, size_t position, double loss, double weight, double norm, double step_size, steps):
        """Go on within an epoch of the same rows that another trainer began: with what its `epoch_state` said."""
        cdef fm_epoch_state state
        self.net.refuse_if_written()
        state.position, state.loss, state.weight = position, loss, weight
        state.norm, state.step_size, state.steps = norm, step_size, steps
        if fm_trainer_set_epoch(self.trainer, state) != FM_OK:
            raise ValueError(f"position {position} after {steps} steps is not between two batches of the epoch")

    def get_epoch_start(self, size_t layer):
        """Return the (weights, bias) of layer l >= 1 as the epoch began; they come back if it diverges."""
        if fm_trainer_epoch(self.trainer).position == 0:
            return self.net.get_layer(layer)
        self.net.refuse_if_written()
        return self.net.layer_of(layer, fm_trainer_epoch_start(self.trainer))

    def set_epoch_start(self, size_t layer, weights, bias):
        """Set the (weights, bias) of layer l >= 1 as the epoch began, for a position that was set."""
        self.net.refuse_if_written()
        self.net.set_layer_of(layer, fm_trainer_epoch_start(self.trainer), weights, bias)

    def restart_epoch(self):
        """Give up the epoch under way; the next run begins it again."""
        self.net.begin_write()
        fm_trainer_restart_epoch(self.trainer)
        self.net.end_write()

    def run(self, Data data not None, rates, size_t epochs, double seconds, stop=None):
        """Train until `epochs` more have ended, `seconds` have passed or `stop` says so, always to a batch's end.

        `rates` are those of the whole epoch under way, one or one a step. Returns (losses, gradient norms, step
        sizes, rows done of the epoch under way, "" or "loss" or "parameters" for what diverged); the first three
        have a value for every epoch that ended. What a signal handler raises leaves the trainer in order too.
        """
        require_targets(data)
        cdef cnp.ndarray c_rates = np.ascontiguousarray(rates, np.float64)
        cdef cnp.ndarray losses = np.empty(epochs), norms = np.empty(epochs), sizes = np.empty(epochs)
        cdef const double *rate = <const double *>cnp.PyArray_DATA(c_rates)
        cdef size_t n_rates = <size_t>c_rates.size
        cdef fm_record record
        cdef fm_status status
        cdef Caller caller = Caller(stop)
        record.losses = <double *>cnp.PyArray_DATA(losses)
        record.norms = <double *>cnp.PyArray_DATA(norms)
        record.step_sizes = <double *>cnp.PyArray_DATA(sizes)
        self.net.begin_write()
        with nogil:
            status = fm_trainer_run(self.trainer, &data.data, rate, n_rates, epochs, seconds, caller.asked, &record)
        self.net.end_write()
        diverged = {FM_LOSS_DIVERGED: "loss", FM_PARAMETERS_DIVERGED: "parameters"}.get(status, "")
        caller.raise_error(FM_OK if diverged else status)  # who calls warns, when all is recorded
        done = record.epochs_done
        return losses[:done].tolist(), norms[:done].tolist(), sizes[:done].tolist(), \
            fm_trainer_epoch(self.trainer).position, diverged
