# net.pxi -- a network in the engine: parameters, their readers and writer, passes over rows

cdef class Net:
    """Layers and parameters of one network in the engine.

    ``activations`` are (name, parameter) of layers 1 ... L-1; ``dropout`` has the rates of layers
    0 ... L-2.
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
        cdef size_t *c_sizes = <size_t *>PyMem_Malloc(
            layers * (sizeof(size_t) + sizeof(int) + 2 * sizeof(double)))
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
        cdef cnp.ndarray w = np.ascontiguousarray(weights, self.dtype)
        cdef cnp.ndarray b = np.ascontiguousarray(bias, self.dtype)
        n_out, n_in = self.sizes[layer], self.sizes[layer - 1]
        if (w.shape[0], w.shape[1], b.shape[0]) != (n_out, n_in, n_out):
            raise ValueError("weights and bias do not fit the layer")
        fm_layer_set(self.net, layer, panels, cnp.PyArray_DATA(w), cnp.PyArray_DATA(b))

    # -- readers and a writer of the parameters, counted with the GIL held

    cdef int refuse_if_written(self) except -1:
        if self.written and self.process != os.getpid():  # whoever was at it is not here to end it
            raise RuntimeError("the network's parameters are half changed: another thread trained "
                               "it when this process was forked; make or load a network here")
        if self.written:
            raise RuntimeError(
                "the network's parameters are being changed by a training or an assignment")
        return 0

    cdef forget_after_fork(self):
        """A forked process is without the threads that were reading."""
        if self.process != os.getpid():
            self.readers.clear()
            self.process = os.getpid()

    cdef int begin_read(self) except -1:
        """For what lets the GIL go while it reads the parameters."""
        self.refuse_if_written()
        self.forget_after_fork()
        thread = get_ident()
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
            raise RuntimeError(
                "the network's parameters cannot be changed while a pass of the same thread is on")
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
        pairs = [(self.empty(n_out, n_in), np.empty(n_out, self.dtype))
                 for n_in, n_out in pairwise(self.sizes)]
        self.refuse_if_written()  # from here on the GIL is not let go
        for l in range(1, len(self.sizes)):
            weights, bias = pairs[l - 1]
            fm_layer_get(self.net, l, fm_net_params(self.net), cnp.PyArray_DATA(weights),
                         cnp.PyArray_DATA(bias))
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
            fm_layer_set(self.net, l, fm_net_params(self.net), cnp.PyArray_DATA(weights),
                         cnp.PyArray_DATA(bias))
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

    # -- passes. stop() is called every 50 ms or so; where it is true Stopped is raised. In the main
    # thread signals are handled as often, and what a handler raises ends the pass too.

    def check_finite(self, cnp.ndarray array, str argument, int threads=0):
        """Raise ValueError if the array holds NaN or what is infinite in this network's dtype."""
        cdef fm_matrix matrix = matrix_of(array)
        cdef Caller caller = Caller(None)
        cdef fm_status status
        with nogil:
            status = fm_matrix_check(self.net, &matrix, threads, caller.asked)
        warn_of_refused_threads()
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
        if data.rows * self.work_of_row < 1000000:  # less than letting the GIL go is worth
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
        warn_of_refused_threads()
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
                status = fm_layer_values(self.net, &data.data, to, to + layers, threads,
                                         caller.asked)
            self.end_read()
        finally:
            PyMem_Free(to)
        warn_of_refused_threads()
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
        warn_of_refused_threads()
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
        warn_of_refused_threads()
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
        warn_of_refused_threads()
        caller.check(status)
        return out
