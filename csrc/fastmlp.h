/* fastmlp.h -- the engine's interface: networks, passes over rows, the resumable trainer
 *
 * INDEX, in the order of the data
 *   fastmlp.h           this interface
 *   tables.h            the lists: activations, losses, optimizers, number types, statuses
 *   engine.h            structures shared inside the core
 *   status.c            messages and names of the lists
 *   memory.c            the one allocator, with huge pages and a fault to order
 *   random.h            Philox: random numbers that are functions of a counter
 *   dispatch.c          the processor's instruction sets and the choice among the kernel tables
 *   threads/            threads of one machine
 *     pool.c creation.*   parallel regions; whether the system grants the threads for one
 *     count.*             how many threads there are: OMP_NUM_THREADS, affinity, quota
 *     float_mode.h        subnormal numbers count as 0 while kernels run
 *     barrier.* clock.h   a barrier that spins, yields, then sleeps; seconds
 *     latency.c plan.*    what working together costs; how many threads a step pays for
 *   network.c           layers, parameters, the workspace of a pass
 *   step.c              a batch forward and backward, by threads that share each layer
 *   passes.c            predict, loss, gradients: passes over rows that change no weight
 *   optimizers.c        constants of one optimizer step
 *   trainer.c           epochs of steps
 *   kernels/            everything compiled per instruction set and precision
 *     kernels.h           the template: includes the rest, emits the table
 *     vec.h math.h        vectors, exp and its relatives
 *     shuffle.h           a random order of the rows
 *     convert.h augment.h rows of any number type into column blocks; random changes of a row
 *     pieces.h            shares of a phase in pieces, which threads take from one another
 *     ahead.h             the next batch's rows, asked for or copied beside a product
 *     gemm.h gradient.h   the register tiles
 *     sparse*.h scratch.h the same products where ReLU or dropout has left zeros; what a thread writes for itself
 *     activations.h losses.h updates.h   one small function an item
 *     rows.h weights.h    the two phases of a step: values layer by layer, then the weights
 *     layout.h            panels to matrices and back
 *     <isa>_<type>.c      stubs, one line of settings each
 *
 * No function prints, aborts or keeps static state that two callers could share. Errors are statuses.
 */
#ifndef FASTMLP_H
#define FASTMLP_H

#include <stddef.h>
#include <stdint.h>

#include "tables.h"

enum { FM_MAX_MOMENTS = 3, FM_OPTIMIZER_CONSTANTS = 8, FM_MAX_AUGMENT = 8 };

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

/* -- status.c -- */
const char *fm_status_message(fm_status);
const char *fm_activation_name(int); /* NULL past the end, like the two below */
const char *fm_loss_name(int);
const char *fm_optimizer_name(int);
size_t fm_dtype_size(int dtype);
const char *fm_compiler(void); /* that made the core */

/* -- memory.c -- */
void *
fm_allocate(size_t bytes); /* zeroed, aligned to a cache line or, when large, to a huge page */
void fm_release(void *memory);
void fm_fail_allocation(long nth); /* tests: the nth allocation from now fails; 0: none does */

/* -- dispatch.c -- */
const char *fm_isa_name(int index); /* compiled in, best first; NULL past the end */
int fm_isa_supported(int index);    /* by this processor and its operating system */
const fm_kernels *fm_kernels_find(const char *isa,
                                  const char *dtype); /* isa NULL: the best; NULL: there is none */
const char *fm_kernels_isa(const fm_kernels *);
/* a (count,) from z to f(z) in place, slope (count,) to f'(z); aligned, count a multiple of a cache line's elements */
void fm_kernels_activate(const fm_kernels *, int activation, double alpha, void *a, void *slope,
                         size_t count);
double fm_kernels_peak(const fm_kernels *, int threads,
                       double seconds); /* GF/s of all threads together */

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
    double
        line; /* seconds for a cache line that one has written to be read by another and taken back for writing */
    double
        speed; /* of one while all work, over its speed alone: 1, or about 1/2 where two are on one core */
} fm_latency;
/* Measured on so many threads, between the first and the last of them, in 30 to 80 us; before it up to `patience` seconds are
 * waited until each has a processor of its own. */
fm_latency fm_threads_latency(int threads, double patience);

/* -- network.c -- */
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
/* weights (n_l, n_(l-1)) and bias (n_l), C-contiguous, of the network's type; either may be NULL in get.
 * `panels` is the parameters, or an array in their order (a moment, a gradient). */
void fm_layer_set(const fm_net *, size_t l, void *panels, const void *weights, const void *bias);
void fm_layer_get(const fm_net *, size_t l, const void *panels, void *weights, void *bias);

/* -- passes.c: rows through the network, no weight changes. threads: the most that may be used; 0: all there are -- */
fm_status fm_matrix_check(const fm_net *, const fm_matrix *,
                          int threads); /* FM_NOT_FINITE, or FM_OK */
fm_status fm_predict(fm_net *, const fm_data *, void *out, int threads); /* out (rows, n_(L-1)) */
fm_status fm_layer_values(fm_net *, const fm_data *, void **z, void **a, int threads);
/* weighted mean loss, penalties not included; the outputs (rows, n_(L-1)) too unless out is NULL */
fm_status fm_loss(fm_net *, const fm_data *, int threads, double *loss, void *out);
/* the same, and its gradient in panel order with the penalties' gradients added */
fm_status fm_gradient(fm_net *, const fm_data *, double l1, double l2, int threads, double *loss,
                      void *gradient);
/* dC_i/dx of every row: out (rows, n_0) */
fm_status fm_input_gradient(fm_net *, const fm_data *, int threads, void *out);

/* -- trainer.c -- */
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
    double constants[FM_OPTIMIZER_CONSTANTS]; /* the optimizer's fields after the learning rate */
    int moments;                              /* arrays that it needs */
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

typedef struct fm_progress {
    size_t epochs_done; /* whole epochs finished by this call */
    size_t rows_done;   /* of the epoch under way */
    size_t row_updates; /* rows trained by this call */
} fm_progress;

fm_status fm_trainer_create(fm_trainer **, fm_net *, const fm_train *, fm_train_state);
void fm_trainer_free(fm_trainer *);
/* moment arrays and averaged parameters in panel order; NULL where there is none */
void *fm_trainer_moment(fm_trainer *, int index);
void *fm_trainer_average(fm_trainer *);
/* takes over moments and, where both have one, average of a trainer of the same network and optimizer */
void fm_trainer_adopt(fm_trainer *, const fm_trainer *);
int fm_trainer_average_begun(const fm_trainer *); /* a step has gone into it */
void fm_trainer_average_set(fm_trainer *);        /* it was filled from elsewhere: go on from it */
int fm_trainer_threads(const fm_trainer *);
fm_train_state fm_trainer_state(const fm_trainer *);
/* The epoch under way is given up: the next call begins it again, from its first row. */
void fm_trainer_restart_epoch(fm_trainer *);
/* Train on until `epochs` more have ended or `seconds` have passed, whichever is first.
 * rates [n_rates]: learning rate of every step of the epoch, or one for all of them.
 * losses, norms, step_sizes [epochs]: means over the steps of every epoch that ended of the loss, of the gradient's
 * norm and of rate times norm; norms are 0 unless asked for. */
fm_status fm_trainer_run(fm_trainer *, const fm_data *, const double *rates, size_t n_rates,
                         size_t epochs, double seconds, double *losses, double *norms,
                         double *step_sizes, fm_progress *);

#endif
