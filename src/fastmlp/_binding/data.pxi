# data.pxi -- arrays described where they lie, for the engine

cdef dict DTYPES = {
    "b1": FM_DTYPE_uint8, "i1": FM_DTYPE_int8, "u1": FM_DTYPE_uint8,
    "i2": FM_DTYPE_int16, "u2": FM_DTYPE_uint16,
    "i4": FM_DTYPE_int32, "u4": FM_DTYPE_uint32, "i8": FM_DTYPE_int64, "u8": FM_DTYPE_uint64,
    "f2": FM_DTYPE_float16, "f4": FM_DTYPE_float32, "f8": FM_DTYPE_float64,
}
if np.dtype(np.longdouble).itemsize > 8:
    DTYPES[np.dtype(np.longdouble).str[1:]] = FM_DTYPE_longdouble


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
    matrix.columns, matrix.column_stride = 1, cnp.PyArray_ITEMSIZE(array)
    if cnp.PyArray_NDIM(array) == 2:
        matrix.columns = <size_t>cnp.PyArray_DIM(array, 1)
        matrix.column_stride = cnp.PyArray_STRIDE(array, 1)
    matrix.swapped = not cnp.PyArray_ISNOTSWAPPED(array)
    matrix.labels = labels
    return matrix


cdef class Data:
    """Rows for a pass or a training, described where they lie; arrays are kept, and not copied.

    ``X`` (n, n_0) and ``y`` are real arrays of any dtype and layout; with ``labels``, y holds int64
    labels (n,). ``sample_weight`` (n,) becomes float64. ``rows`` (uint32) picks rows of all three,
    in its order.
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
        for array in (y, sample_weight):
            if array is not None and len(array) != len(X):
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


cdef require_targets(Data data):
    if data.y is None:
        raise ValueError("data must have targets y")


cdef cnp.ndarray aligned_zeros(size_t count, dtype):
    """Zeros whose first element starts a cache line, as the kernels demand.

    They are written, not only promised by the system: that may take it a second, within which
    signals are handled.
    """
    raw = np.empty(count * dtype.itemsize + 63, np.uint8)
    for first in range(0, raw.size, 1 << 25):
        raw[first:first + (1 << 25)] = 0
        PyErr_CheckSignals()
    start = -raw.ctypes.data % 64
    return raw[start:start + count * dtype.itemsize].view(dtype)
