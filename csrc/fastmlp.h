/* fastmlp.h -- the engine's interface: networks, passes over rows, the resumable trainer
 *
 * INDEX, in the order of the data
 *   fastmlp.h               this interface
 *   tables.h                the lists: activations, losses, optimizers, number types, statuses
 *   engine.h                structures that the parts of the core have in common
 *   base/                   what has no threads in it
 *     status.c                messages and names of the lists
 *     memory.c                the one allocator, with huge pages and a fault to order
 *     random.h                Philox: random numbers that are functions of a counter
 *     dispatch.c              the processor's instruction sets and the choice of kernels
 *   threads/                threads of one machine
 *     pool.c creation.[ch]    parallel regions; whether the system grants the threads for one
 *     count.[ch]              how many threads there are: OMP_NUM_THREADS, affinity, quota
 *     float_mode.h            subnormal numbers count as 0 while kernels run
 *     barrier.[ch] clock.h    a barrier that spins, yields, then sleeps; seconds
 *     poll.[ch]               whether a pass goes on: the caller is asked, every 50 ms or so
 *     latency.c plan.[ch]     what working together costs; how many threads a step pays for
 *   net/                    what changes no weight
 *     network.[ch]            layers, parameters, the workspace of a pass
 *     chunks.[ch]             rows in chunks of a fixed size, sums over chunks by a fixed tree
 *     step.[ch]               a batch forward and backward
 *     check.c                 are all numbers of a matrix finite?
 *     passes.c                predict, layer values, losses, gradients of inputs
 *   train/                  what does
 *     gradient.[ch]           the gradient of many rows, chunk by chunk
 *     optimizers.[ch]         constants of one optimizer step
 *     norm.h update.[ch]      from a stored gradient to the parameters: norm, clipping, limits
 *     epoch.c                 the loop over batches: next batch, step, bookkeeping, clock
 *     divergence.c            the parameters at the start of an epoch, and the way back to them
 *     trainer.[ch]            what a training keeps, made and run
 *   kernels/                everything compiled per instruction set and precision
 *     kernels.h               the template: includes the rest, emits the table
 *     vec.h math.h sums.h     simd/: vectors, exp and its relatives, sums by a tree of blocks
 *     shuffle.h convert.h     data/: an order of rows; rows of any number type into column blocks
 *     augment.h               data/: random changes of a row
 *     gemm.h gradient.h       product/: the register tiles
 *     sparse*.h               product/: the same where zeros are skipped
 *     layout.h prefetch.h     product/: panels to matrices and back; the next batch's rows
 *     activations.h losses.h updates.h   one small function an item
 *     layer.h weights.h       the two phases of a step: values layer by layer, then the weights
 *     parameters.h            passes over the parameters: norms, limits, averages
 *     work_stealing.h         partitions that threads take from one another, piece by piece
 *     scratch.h               what a thread writes for itself
 *     <isa>_<type>.c          isa/: stubs, one line of settings each
 *
 * No function prints, aborts or keeps static state that two callers could both change. Errors are
 * statuses.
 */
#ifndef FASTMLP_H
#define FASTMLP_H

#include <stddef.h>
#include <stdint.h>

#include "tables.h"

enum { FM_MAX_MOMENTS = 3, FM_OPTIMIZER_CONSTANTS = 4, FM_MAX_AUGMENT = 8 };

#define FM_ENUM(name, ...) FM_##name,
typedef enum { FM_STATUS_LIST(FM_ENUM) } fm_status;
#undef FM_ENUM
#define FM_ENUM(name, ...) FM_ACTIVATION_##name,
enum { FM_ACTIVATION_LIST(FM_ENUM) FM_ACTIVATION_softmax, FM_ACTIVATIONS };
#undef FM_ENUM
#define FM_ENUM(name, ...) FM_LOSS_##name,
enum { FM_LOSS_LIST(FM_ENUM) FM_LOSSES };
#undef FM_ENUM
#define FM_ENUM(name, ...) FM_OPTIMIZER_##name,
enum { FM_OPTIMIZER_LIST(FM_ENUM) FM_OPTIMIZERS };
#undef FM_ENUM
#define FM_ENUM(name, ...) FM_DTYPE_##name,
enum { FM_DTYPE_LIST(FM_ENUM) FM_DTYPE_float16, FM_DTYPES };
#undef FM_ENUM

/* The constants of an optimizer, by name as in constants.adam.beta1, or by number in order. */
#define FM_NAMED(name, ...) \
    struct {                \
        double __VA_ARGS__; \
    } name;
typedef union fm_constants {
    double value[FM_OPTIMIZER_CONSTANTS];
    FM_OPTIMIZER_LIST(FM_NAMED)
} fm_constants;
#undef FM_NAMED

typedef struct fm_net fm_net;
typedef struct fm_kernels fm_kernels;
typedef struct fm_trainer fm_trainer;

/* Somebody else's rows, never copied whole. */
typedef struct fm_matrix {
    const void *data;
    size_t rows, columns;
    ptrdiff_t row_stride, column_stride; /* bytes */
    int dtype;                           /* FM_DTYPE_... */
    int swapped;                         /* the other byte order */
    int labels; /* int64 class labels, one column, for a network of several outputs */
} fm_matrix;

/* The rows of a pass or a training, described where they lie. */
typedef struct fm_data {
    fm_matrix x;                 /* inputs */
    fm_matrix y;                 /* targets; its data NULL: there are none */
    const double *sample_weight; /* [rows of x], or NULL: 1 for every row */
    const uint32_t *index;       /* row r is row index[r] of x, y and sample_weight; or NULL */
    size_t rows;                 /* of the index, or of x */
} fm_data;

/* -- base/status.c -- */
const char *fm_status_message(fm_status);
const char *fm_activation_name(int); /* NULL past the end, like the two below */
const char *fm_loss_name(int);
const char *fm_optimizer_name(int);
/* names of its constants in order, between them ", " */
const char *fm_optimizer_constants(int);
size_t fm_dtype_size(int dtype);
const char *fm_compiler(void); /* that made the core */

/* -- base/memory.c -- */
/* zeroed, aligned to a cache line or, when large, to a huge page */
void *fm_allocate(size_t bytes);
void fm_release(void *memory);
void fm_fail_allocation(long nth); /* tests: the nth allocation from now fails; 0: none does */

/* -- base/dispatch.c -- */
const char *fm_isa_name(int index); /* compiled in, best first; NULL past the end */
int fm_isa_supported(int index);    /* by this processor and its operating system */
/* isa NULL: the best; gives NULL where there is none */
const fm_kernels *fm_kernels_find(const char *isa, const char *dtype);
const char *fm_kernels_isa(const fm_kernels *);
/* a (count,) from z to f(z) in place, slope (count,) to f'(z): aligned, and whole cache lines */
void fm_kernels_activate(const fm_kernels *, int activation, double alpha, void *a, void *slope,
                         size_t count);
/* GF/s of all threads together */
double fm_kernels_peak(const fm_kernels *, int threads, double seconds);

/* -- threads/count.c -- */
int fm_threads_default(void);    /* OMP_NUM_THREADS, else the number of processors */
int fm_threads_processors(void); /* by affinity and control-group quota */

/* -- threads/pool.c -- */
int fm_threads_openmp(void); /* 1 if compiled with OpenMP */
/* Runs the body on at most so many threads, the caller's being thread 0; on fewer where OpenMP or
 * the system gives no more. Numbers of subnormal size count as 0 meanwhile. */
void fm_parallel(int threads, void (*body)(void *, int thread, int threads), void *context);
/* 1 at most once in a process: after the system has refused threads, and how many it granted. */
int fm_threads_refused(int *wanted, int *granted);

/* -- threads/plan.c -- */
/* tests: threads cost nothing, every pass takes as many as the caller allows */
void fm_plan_free_threads(int on);

/* -- threads/latency.c -- */
/* What it costs threads to work on one thing. */
typedef struct fm_latency {
    double barrier; /* seconds that one takes */
    double line;    /* seconds of a cache line's way from one's writing to another's and back */
    double speed;   /* of one while all work, over its speed alone; 1/2 on halves of a core */
} fm_latency;
/* Measured on so many threads, between the first and the last of them, in 30 to 80 us; before it,
 * up to `patience` seconds are waited until each has a processor of its own. */
fm_latency fm_threads_latency(int threads, double patience);

/* -- net/network.c -- */
typedef struct fm_net_config {
    size_t n_layers;        /* L >= 2 */
    const size_t *sizes;    /* [L] */
    const int *activations; /* [L]; the first unused */
    const double *alphas;   /* [L] */
    const double *dropout;  /* [L]; the last unused */
    int loss;
    double loss_parameter;
    const fm_kernels *kernels;
} fm_net_config;

fm_status fm_net_create(fm_net **, const fm_net_config *);
void fm_net_free(fm_net *);
const fm_kernels *fm_net_kernels(const fm_net *);
size_t fm_net_param_count(const fm_net *); /* in panel order, padding included */
void *fm_net_params(fm_net *);
/* weights (n_l, n_(l-1)) and bias (n_l), C-contiguous, of the network's type; either may be NULL
 * in get. `panels` is the parameters, or an array in their order (a moment, a gradient). */
void fm_layer_set(const fm_net *, size_t l, void *panels, const void *weights, const void *bias);
void fm_layer_get(const fm_net *, size_t l, const void *panels, void *weights, void *bias);

/* -- threads/poll.c -- */
/* Asked every 50 ms or so by the thread that called, while a pass or a large batch is under way;
 * a result other than 0 ends it. A stop that is NULL is never asked. */
typedef struct fm_stop {
    int (*ask)(void *context);
    void *context;
} fm_stop;

/* -- net/chunks.c -- */
/* tests: multiply-adds of a chunk of rows, in place of 2^30; 0: as usual */
void fm_limit_chunks(double work);

/* -- passes over rows, which change no weight. threads: the most that may be used; 0: all there
 * are. FM_STOPPED: the caller wanted a stop, and outputs are not complete. No rows: none are
 * written, and a loss is FM_BAD_CONFIG. -- */
/* net/check.c: FM_NOT_FINITE in the network's precision, or FM_OK */
fm_status fm_matrix_check(const fm_net *, const fm_matrix *, int threads, const fm_stop *);
/* net/passes.c: out (rows, n_(L-1)) */
fm_status fm_predict(fm_net *, const fm_data *, void *out, int threads, const fm_stop *);
/* z[l], a[l] (rows, n_l) of layers 1 ... L-1 */
fm_status fm_layer_values(fm_net *, const fm_data *, void **z, void **a, int threads,
                          const fm_stop *);
/* weighted mean loss without penalties; outputs (rows, n_(L-1)) too unless out is NULL */
fm_status fm_loss(fm_net *, const fm_data *, double *loss, void *out, int threads, const fm_stop *);
/* dC_i/dx of every row: out (rows, n_0) */
fm_status fm_input_gradient(fm_net *, const fm_data *, void *out, int threads, const fm_stop *);
/* train/gradient.c: the same loss, and its gradient in panel order with that of the penalties */
fm_status fm_gradient(fm_net *, const fm_data *, double l1, double l2, double *loss, void *gradient,
                      int threads, const fm_stop *);

/* -- train/trainer.c -- */
enum { FM_AUGMENT_NOISE, FM_AUGMENT_MASK, FM_AUGMENT_AFFINE };
typedef struct fm_augment {
    int kind;
    double amount;                /* noise: sigma; mask: probability */
    size_t height, width, planes; /* affine: shape of a row */
    double rotate, shear;         /* largest angle, radians */
    double shift;                 /* largest shift, pixels */
    double zoom;                  /* largest factor less 1 */
    double fill;
} fm_augment;

typedef struct fm_train {
    int optimizer;
    fm_constants constants;
    int moments; /* arrays that it needs */
    double l1, l2;
    double max_norm, clip_norm; /* 0: none */
    double ema;                 /* decay of averaged parameters; 0: none */
    uint64_t seed;
    size_t batch_size;
    int shuffle;
    int record_norm; /* keep the norm of every step's gradient */
    int threads;     /* the most that may be used; 0: all there are */
    int augments;
    fm_augment augment[FM_MAX_AUGMENT];
} fm_train;

/* What goes on over calls of fit and is saved with the network. */
typedef struct fm_train_state {
    uint64_t epoch; /* epochs done: names the random stream */
    uint64_t step;  /* steps done by the optimizer */
} fm_train_state;

/* The epoch under way: rows done, and sums over them. */
typedef struct fm_epoch_state {
    size_t position;        /* rows done, whole batches */
    double loss, weight;    /* of rows: weighted losses, weights */
    double norm, step_size; /* of steps: gradient norms, rates times norms */
    uint64_t steps;
} fm_epoch_state;

fm_status fm_trainer_create(fm_trainer **, fm_net *, const fm_train *, fm_train_state);
void fm_trainer_free(fm_trainer *);
/* moment arrays and averaged parameters in panel order; NULL where there is none */
void *fm_trainer_moment(fm_trainer *, int index);
void *fm_trainer_average(fm_trainer *);
/* Takes over moments and, where both have one, average of another trainer of the same network. */
void fm_trainer_adopt(fm_trainer *, const fm_trainer *);
int fm_trainer_average_begun(const fm_trainer *); /* a step has gone into it */
void fm_trainer_average_set(fm_trainer *);        /* it was filled from elsewhere: go on from it */
void fm_trainer_average_drop(fm_trainer *);       /* the next step begins it anew */
int fm_trainer_threads(const fm_trainer *);
fm_train_state fm_trainer_state(const fm_trainer *);
/* The epoch under way, to go on with in another trainer of the same rows; with it go the parameters
 * at its start, in panel order. The order of the rows is made again from seed and epoch. */
fm_epoch_state fm_trainer_epoch(const fm_trainer *);
fm_status fm_trainer_set_epoch(fm_trainer *, fm_epoch_state);
void *fm_trainer_epoch_start(fm_trainer *);
/* The epoch under way is given up: the next call begins it again, from its first row. Parameters
 * that are not finite go back to its start. */
void fm_trainer_restart_epoch(fm_trainer *);

/* Means over the steps of every epoch that ended. */
typedef struct fm_record {
    double *losses;     /* [epochs] */
    double *norms;      /* [epochs] of gradients; 0 unless train.record_norm or clip_norm */
    double *step_sizes; /* [epochs] of rate times norm */
    size_t epochs_done;
} fm_record;

/* Trains on until `epochs` more have ended, `seconds` have passed, or the caller wants a stop;
 * always to the end of a batch. rates [n_rates]: of every step of the epoch, or one for all.
 * FM_LOSS_DIVERGED, FM_PARAMETERS_DIVERGED: all is as at the start of the epoch. */
fm_status fm_trainer_run(fm_trainer *, const fm_data *, const double *rates, size_t n_rates,
                         size_t epochs, double seconds, const fm_stop *, fm_record *);

#endif
