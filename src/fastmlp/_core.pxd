# _core.pxd -- what the binding uses of csrc/fastmlp.h
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport uint32_t, uint64_t


cdef extern from "fastmlp.h" nogil:
    ctypedef enum fm_status:
        FM_OK
        FM_OUT_OF_MEMORY
        FM_NOT_FINITE
        FM_LOSS_DIVERGED
        FM_PARAMETERS_DIVERGED
        FM_STOPPED

    ctypedef struct fm_net
    ctypedef struct fm_kernels
    ctypedef struct fm_trainer

    enum:
        FM_MAX_MOMENTS
        FM_MAX_AUGMENT
        FM_AUGMENT_NOISE
        FM_AUGMENT_MASK
        FM_AUGMENT_AFFINE
        FM_DTYPE_int8
        FM_DTYPE_uint8
        FM_DTYPE_int16
        FM_DTYPE_uint16
        FM_DTYPE_int32
        FM_DTYPE_uint32
        FM_DTYPE_int64
        FM_DTYPE_uint64
        FM_DTYPE_float16
        FM_DTYPE_float32
        FM_DTYPE_float64
        FM_DTYPE_longdouble

    ctypedef struct fm_matrix:
        const void *data
        size_t rows, columns
        ptrdiff_t row_stride, column_stride
        int dtype, swapped, labels

    ctypedef struct fm_data:
        fm_matrix x, y
        const double *sample_weight
        const uint32_t *index
        size_t rows

    const char *fm_status_message(fm_status)
    const char *fm_compiler()
    const char *fm_activation_name(int)
    const char *fm_loss_name(int)
    const char *fm_optimizer_name(int)
    const char *fm_optimizer_constants(int)
    void fm_fail_allocation(long)

    const char *fm_isa_name(int)
    int fm_isa_supported(int)
    const fm_kernels *fm_kernels_find(const char *isa, const char *dtype)
    const char *fm_kernels_isa(const fm_kernels *)
    void fm_kernels_activate(const fm_kernels *, int activation, double alpha, void *a, void *slope,
                             size_t count)
    double fm_kernels_peak(const fm_kernels *, int threads, double seconds)

    int fm_threads_default()
    void fm_plan_free_threads(int)
    int fm_threads_openmp()
    int fm_threads_refused(int *wanted, int *granted)

    ctypedef struct fm_latency:
        double barrier, line, speed

    fm_latency fm_threads_latency(int threads, double patience) nogil

    ctypedef struct fm_net_config:
        size_t n_layers
        const size_t *sizes
        const int *activations
        const double *alphas
        const double *dropout
        int loss
        double loss_parameter
        const fm_kernels *kernels

    fm_status fm_net_create(fm_net **, const fm_net_config *)
    void fm_net_free(fm_net *)
    const fm_kernels *fm_net_kernels(const fm_net *)
    size_t fm_net_param_count(const fm_net *)
    void *fm_net_params(fm_net *)
    void fm_layer_set(const fm_net *, size_t layer, void *panels, const void *weights,
                      const void *bias)
    void fm_layer_get(const fm_net *, size_t layer, const void *panels, void *weights, void *bias)

    ctypedef struct fm_stop:
        int (*ask)(void *context) noexcept
        void *context

    void fm_limit_chunks(double work)

    fm_status fm_matrix_check(const fm_net *, const fm_matrix *, int threads, const fm_stop *)
    fm_status fm_predict(fm_net *, const fm_data *, void *out, int threads, const fm_stop *)
    fm_status fm_layer_values(fm_net *, const fm_data *, void **z, void **a, int threads,
                              const fm_stop *)
    fm_status fm_loss(fm_net *, const fm_data *, double *loss, void *out, int threads,
                      const fm_stop *)
    fm_status fm_gradient(fm_net *, const fm_data *, double l1, double l2, double *loss,
                          void *gradient, int threads, const fm_stop *)
    fm_status fm_input_gradient(fm_net *, const fm_data *, void *out, int threads, const fm_stop *)

    ctypedef struct fm_augment:
        int kind
        double amount
        size_t height, width, planes
        double rotate, shear, shift, zoom, fill

    ctypedef union fm_constants:
        double *value

    ctypedef struct fm_train:
        int optimizer
        fm_constants constants
        int moments
        double l1, l2, max_norm, clip_norm, ema
        uint64_t seed
        size_t batch_size
        int shuffle, record_norm, threads, augments
        fm_augment *augment

    ctypedef struct fm_train_state:
        uint64_t epoch, step

    ctypedef struct fm_epoch_state:
        size_t position
        double loss, weight, norm, step_size
        uint64_t steps

    ctypedef struct fm_record:
        double *losses
        double *norms
        double *step_sizes
        size_t epochs_done

    fm_status fm_trainer_create(fm_trainer **, fm_net *, const fm_train *, fm_train_state)
    void fm_trainer_free(fm_trainer *)
    void *fm_trainer_moment(fm_trainer *, int index)
    void *fm_trainer_average(fm_trainer *)
    void fm_trainer_adopt(fm_trainer *, const fm_trainer *)
    int fm_trainer_average_begun(const fm_trainer *)
    void fm_trainer_average_set(fm_trainer *)
    void fm_trainer_average_drop(fm_trainer *)
    int fm_trainer_threads(const fm_trainer *)
    fm_train_state fm_trainer_state(const fm_trainer *)
    fm_epoch_state fm_trainer_epoch(const fm_trainer *)
    fm_status fm_trainer_set_epoch(fm_trainer *, fm_epoch_state)
    void *fm_trainer_epoch_start(fm_trainer *)
    void fm_trainer_restart_epoch(fm_trainer *)
    fm_status fm_trainer_run(fm_trainer *, const fm_data *, const double *rates, size_t n_rates,
                             size_t epochs, double seconds, const fm_stop *, fm_record *)
