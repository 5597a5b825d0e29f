# caller.pxi -- who waits for the engine: asked whether it should stop, told what went wrong

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
    """Who waits for the engine and may want a stop: by `stop`, or by what a handler raises."""

    cdef object stop, error
    cdef fm_stop callback
    cdef const fm_stop *asked  # NULL where there is nothing to ask

    def __cinit__(self, stop):
        self.stop = stop
        self.callback.ask, self.callback.context = ask, <void *>self
        if stop is not None or get_ident() == threading.main_thread().ident:
            self.asked = &self.callback

    cdef int check(self, fm_status status, str argument="X") except -1:
        """Raise what a handler or `stop` has raised, or the status that is an error."""
        if self.error is not None:
            raise self.error
        check(status, argument)
        return 0
