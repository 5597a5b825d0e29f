# trainer.pxi -- an optimizer at work on a network

cdef class Trainer:
    """An optimizer at work on a network: moments, random stream and place in it.

    ``constants`` has a value for each name in OPTIMIZER_CONSTANTS of the optimizer. ``augment`` are
    dicts with the fields of the engine's ``fm_augment``; ``kind`` is its index there.
    """

    cdef fm_trainer *trainer
    cdef readonly Net net
    cdef readonly int moments

    def __cinit__(self, Net net not None, optimizer, constants, int moments, size_t batch_size,
                  double l1=0, double l2=0, double max_norm=0, double clip_norm=0, double ema=0,
                  seed=0, bint shuffle=True, bint record_norm=False, int threads=0, augment=(),
                  epoch=0, step=0):
        cdef fm_train train
        cdef fm_train_state state
        memset(&train, 0, sizeof(train))
        if len(augment) > FM_MAX_AUGMENT:
            raise ValueError("too many augmentations")
        names = OPTIMIZER_CONSTANTS[optimizer]
        if set(constants) != set(names):
            raise ValueError(
                f"constants of {optimizer} must be {', '.join(names)}, "
                f"got {', '.join(constants) or 'none'}")
        train.optimizer, train.moments = OPTIMIZERS.index(optimizer), moments
        for i, name in enumerate(names):
            train.constants.value[i] = constants[name]
        train.l1, train.l2, train.max_norm = l1, l2, max_norm
        train.clip_norm, train.ema = clip_norm, ema
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
        """Whether there are averaged parameters: a step with `ema` was taken, or they were set."""
        return bool(fm_trainer_average_begun(self.trainer))

    def adopt(self, Trainer other):
        """Take over moments and averages of another trainer of the same network and optimizer."""
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
        """Rows of the epoch under way that are done (position), sums over them and their steps."""
        self.net.refuse_if_written()
        return dict(fm_trainer_epoch(self.trainer))

    def set_epoch_state(self, size_t position, double loss, double weight, double norm,
                        double step_size, steps):
        """Go on within an epoch of the same rows that another trainer began, from its state."""
        cdef fm_epoch_state state
        self.net.refuse_if_written()
        state.position, state.loss, state.weight = position, loss, weight
        state.norm, state.step_size, state.steps = norm, step_size, steps
        if fm_trainer_set_epoch(self.trainer, state) != FM_OK:
            raise ValueError(
                f"position {position} after {steps} steps is not between two batches of the epoch")

    def get_epoch_start(self, size_t layer):
        """Return the (weights, bias) of layer l >= 1 as the epoch began."""
        if fm_trainer_epoch(self.trainer).position == 0:
            return self.net.get_layer(layer)
        self.net.refuse_if_written()
        return self.net.layer_of(layer, fm_trainer_epoch_start(self.trainer))

    def set_epoch_start(self, size_t layer, weights, bias):
        """Set the (weights, bias) of layer l >= 1 as the epoch began, before or after its state."""
        self.net.refuse_if_written()
        self.net.set_layer_of(layer, fm_trainer_epoch_start(self.trainer), weights, bias)

    def restart_epoch(self):
        """Give up the epoch under way; the next run begins it again."""
        self.net.begin_write()
        fm_trainer_restart_epoch(self.trainer)
        self.net.end_write()

    def run(self, Data data not None, rates, size_t epochs, double seconds, stop=None):
        """Train until `epochs` more have ended, `seconds` have passed or stop() is true.

        The last batch is always a whole one. `rates` are those of the whole epoch under way: one,
        or one a step. Returns (losses, gradient norms, step sizes, rows done of the epoch under
        way, what diverged: "", "loss" or "parameters"); the first three have a value for every
        epoch that ended. What a signal handler raises leaves the trainer in order too.
        """
        require_targets(data)
        cdef cnp.ndarray c_rates = np.ascontiguousarray(rates, np.float64)
        cdef cnp.ndarray losses = np.empty(epochs), norms = np.empty(epochs)
        cdef cnp.ndarray sizes = np.empty(epochs)
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
            status = fm_trainer_run(self.trainer, &data.data, rate, n_rates, epochs, seconds,
                                    caller.asked, &record)
        self.net.end_write()
        diverged = {FM_LOSS_DIVERGED: "loss", FM_PARAMETERS_DIVERGED: "parameters"}.get(status, "")
        caller.check(FM_OK if diverged else status)
        done = record.epochs_done
        return losses[:done].tolist(), norms[:done].tolist(), sizes[:done].tolist(), \
            fm_trainer_epoch(self.trainer).position, diverged
