/* engine.h -- what the parts of the core have in common: network, workspace, batch, kernel table
 *
 * Layers are numbered as in the theory: layer 0 is the input, layer l has n_out units fed by n_in
 * units of layer l - 1. "Blocks" are column blocks of one cache line; product/gemm.h explains them.
 */
#ifndef FM_ENGINE_H
#define FM_ENGINE_H

#include "fastmlp.h"

#include <stdatomic.h>
#include <stdbool.h>

typedef struct fm_layer {
    size_t n_in, n_out;
    size_t offset; /* of its panels in the parameters, in elements */
    int activation;
    double alpha;   /* the activation's parameter */
    double dropout; /* probability that an output of this layer is dropped in training */
} fm_layer;

struct fm_net {
    const fm_kernels *kernels;
    size_t n_layers; /* L, the input counted */
    size_t n_params; /* elements of the parameters in panel order, padding included */
    double row_work; /* multiply-adds that a row counts for: net/chunks.h */
    int loss;
    double loss_parameter;
    void *params; /* every layer: panels of (n_in + 1, width); a panel's last row is the bias */
    struct fm_work *standing; /* kept for predict, so that a call allocates nothing */
    atomic_flag standing_taken;
    fm_layer layer[]; /* [L] */
};

/* Everything that a pass over a batch writes, but the parameters. */
typedef struct fm_work {
    size_t rows;    /* capacity of a batch */
    size_t threads; /* sets of scratch */
    size_t widest;  /* columns, padded, of the widest layer */
    void *arena;    /* one allocation: all arrays below lie in it */
    /* the other half of a double buffer of inputs, whose arrays are the same but a[0]; or NULL */
    struct fm_work *other;
    void **a;               /* [L] activations (blocks, rows, BLOCK); a[0] the input */
    void **d;               /* [L] f'(z) after the forward pass, deltas after the backward pass */
    uint16_t **active;      /* [L] (blocks, rows) bits of what is not 0 in a[l] or f'(z); or NULL */
    void *targets;          /* (blocks, rows, BLOCK) dense targets of the batch */
    void *labels;           /* [rows] or labels, as numbers of the network's type */
    void *row_loss;         /* (3, rows) unweighted losses; sums of exponentials; sums of targets */
    void *row_weight;       /* [rows] fractions of the batch's weight, where rows have weights */
    unsigned char *scratch; /* [threads] of scratch_bytes: see fm_scratch in kernels/scratch.h */
    size_t scratch_bytes;
    size_t sparse_offset; /* within it, of what products that skip zeros write */
} fm_work;

/* The rows of one pass and how they are to be treated. */
typedef struct fm_batch {
    const fm_data *data;           /* without targets: no loss is wanted */
    const uint32_t *order;         /* row of the data at each position, or NULL: their own order */
    size_t first, count;           /* positions of the batch */
    size_t next_first, next_count; /* of the next batch: its rows are prefetched */
    const fm_work *next;   /* into whose a[0] they are copied during the first product; or NULL */
    bool copied;           /* so were the inputs of this one */
    double delta_scale;    /* 1 / sum of the batch's weights: deltas are those of the mean */
    const fm_train *train; /* dropout and augmentation, or NULL */
    uint32_t epoch;        /* of the random stream */
} fm_batch;

/* One thread's slice of the work on some rows. A layer's values form a line, panel by panel, the
 * rows of each one after the other; slices of it are equal: whole panels, but for their ends. */
typedef struct fm_part {
    size_t r0, r1;    /* rows of the batch */
    int index, parts; /* this slice and how many there are; one is all panels of the rows */
    size_t scratch;   /* set of scratch memory */
    bool sparse;      /* rows [0, r1) are a batch, in whose products zeros may be skipped */
    /* work stealing: pieces begun of each slice, [parts] of taken_stride, by phase; NULL: none */
    atomic_uint *begun;
    size_t begun_stride, piece_work; /* the latter: multiply-adds of the smallest piece */
} fm_part;

/* Phases of a step with work stealing: a number for each, below FM_PHASES x n_layers. */
enum fm_phase { FM_PHASE_FORWARD, FM_PHASE_BACKWARD, FM_PHASE_WEIGHTS, FM_PHASES };
static inline size_t fm_phase(const fm_net *net, enum fm_phase phase, size_t l)
{
    return (size_t)phase * net->n_layers + l;
}

/* Rows of a batch that are summed in one chain. Longer batches sum in a tree
 * (kernels/simd/sums.h) of so many levels at most, as they have fewer than 2^32 rows. */
enum { FM_SUM_ROWS = 512, FM_SUM_LEVELS = 24 };

/* Tiles of gradients that wait for the optimizer together: its loop takes 100 cycles to start. */
enum { FM_HELD_TILES = 4 };

/* What a thread's second-level cache keeps of parameters and moments from one step to the next. */
enum { FM_NEAR_BYTES = 1 << 20 };

/* Most inputs of a batch that are copied during the step before: with more, steps were slower. */
enum { FM_COPIED_BYTES = 1 << 19 };

/* What a forward pass leaves in d[l]. */
enum fm_keep { FM_KEEP_NOTHING, FM_KEEP_SLOPE, FM_KEEP_Z };

/* What the weights phase does with a gradient. One that is added wants an array as moment[0], for
 * what rounding takes off the sum. */
enum fm_gradient_use { FM_GRADIENT_UPDATE, FM_GRADIENT_STORE, FM_GRADIENT_ADD };

/* One step of an optimizer: constants folded for the step, in double. */
typedef struct fm_update {
    int optimizer;
    double learning_rate;
    fm_constants constants;
    double rate;  /* learning_rate with Adam's correction of the first moment, Adagrad's decay */
    double root;  /* Adam: 1 / sqrt(1 - beta2^t) */
    double decay; /* AdamW: 1 - learning_rate weight_decay; Adam: 1 */
    double l1, l2;
    double ema; /* decay of the averaged parameters; 0: none */
    void *moment[FM_MAX_MOMENTS];
    void *average;
} fm_update;

/* A sum of squares, sum 4^exponent: squares of numbers near either end of the range leave it. */
typedef struct fm_squares {
    double sum;
    int exponent;
} fm_squares;

struct fm_kernels {
    const char *isa, *dtype;
    size_t real_size, lanes, block, panel;
    /* elements of sums that a backward product over rows keeps for each in of a layer of n_out */
    size_t (*backward_sums)(size_t rows, size_t n_out);
    /* bytes that zero skipping in batches of so many rows writes: of units, and of rows too */
    size_t (*sparse_scratch)(size_t rows, bool of_rows);

    /* places [from, to) of a shuffle of order (n,); from is a multiple of 64 */
    void (*shuffle)(uint32_t *order, size_t n, size_t from, size_t to, uint64_t seed,
                    uint32_t epoch);
    /* Are rows such that the next batch's inputs can be copied in a step? No training: NULL. */
    bool (*copies_next)(const fm_net *, const fm_matrix *x, const fm_train *);
    /* A slice of the batch into a[0], unless copied, and the targets. False: not finite. */
    bool (*gather)(const fm_net *, const fm_work *, const fm_batch *, const fm_part *);
    /* a[l] and, as fm_keep says, d[l]. False: what was copied for the next batch is not finite. */
    bool (*forward)(const fm_net *, const fm_work *, const fm_batch *, const fm_part *, size_t l,
                    enum fm_keep);
    /* What the forward pass has left undone of the output layer, by rows. */
    void (*finish_outputs)(const fm_net *, const fm_work *, const fm_part *);
    /* Losses and the output layer's deltas, by rows. */
    void (*output_loss)(const fm_net *, const fm_work *, const fm_batch *, const fm_part *);
    /* d[l - 1], from f'(z) of layer l - 1 to its deltas */
    void (*backward)(const fm_net *, const fm_work *, const fm_part *, size_t l);
    /* Weights of every layer, by tiles; rows [r0, r1) of the part begin at 0. */
    void (*weights)(const fm_net *, const fm_work *, const fm_part *, const fm_update *,
                    enum fm_gradient_use, void *gradient);
    void (*update)(void *params, const void *gradient, size_t first, size_t count,
                   const fm_update *);
    fm_squares (*sum_squares)(const void *, size_t count);
    void (*add)(void *to, const void *from, size_t count);
    /* values 2^-exponent factor */
    void (*scale)(void *values, size_t count, double factor, int exponent);
    void (*fill)(void *, size_t count, double value);
    void (*average)(void *average, const void *params, size_t first, size_t count, double decay);
    void (*max_norm)(const fm_net *, double limit, size_t first_panel, size_t last_panel);
    double (*total)(const void *values, const void *weights, size_t count);
    bool (*all_finite)(const void *, size_t count);
    bool (*matrix_finite)(const fm_matrix *, size_t r0, size_t r1);
    /* between the order of panels and (n_out, n_in) with n_out biases, of the network's type */
    void (*pack)(const fm_layer *, void *panels, const void *weights, const void *bias);
    void (*unpack)(const fm_layer *, const void *panels, void *weights, void *bias);
    /* columns of an array of the workspace, rows [r0, r1), to (rows, row_stride elements) */
    void (*copy_rows)(const fm_work *, const void *array, size_t columns, size_t r0, size_t r1,
                      void *out, size_t row_stride);
    void (*activate)(int activation, double alpha, void *a, void *slope, size_t count);
    double (*fma_peak)(double seconds);
};

static inline size_t fm_blocks(const fm_net *net, size_t columns)
{
    return (columns + net->kernels->block - 1) / net->kernels->block;
}
static inline size_t fm_panels(const fm_net *net, size_t columns)
{
    return (columns + net->kernels->panel - 1) / net->kernels->panel;
}

/* Shapes from which on zero skipping pays: rows of a batch, a layer's ins for its gradient, and
 * units of either layer for the product that leads from one to the other. */
enum { FM_SPARSE_ROWS = 64, FM_SPARSE_INS = 160, FM_SPARSE_WIDTH = 256 };

static inline bool fm_has_zeros(const fm_layer *layer)
{
    return layer->activation == FM_ACTIVATION_relu || layer->dropout >= 0.3;
}
/* May there be zeros enough in the deltas of layer l for its gradient? */
static inline bool fm_gradient_may_be_sparse(const fm_net *net, size_t l, size_t rows)
{
    return l > 0 && rows >= FM_SPARSE_ROWS && net->layer[l].n_in >= FM_SPARSE_INS &&
           fm_has_zeros(&net->layer[l]);
}
/* Are bits kept of hidden layer l, for products of rows that begin with its values or deltas? */
static inline bool fm_keeps_bits(const fm_net *net, size_t l, size_t rows)
{
    return l > 0 && l + 1 < net->n_layers && rows >= FM_SPARSE_ROWS &&
           net->layer[l].n_out >= FM_SPARSE_WIDTH && fm_has_zeros(&net->layer[l]);
}

/* Slice `index` of `count` things in equal parts: [fm_slice(.., index), fm_slice(.., index + 1)) */
static inline size_t fm_slice(size_t count, int index, int parts)
{
    if (parts == 1) return index ? count : 0;
    return count / (size_t)parts * (size_t)index +
           count % (size_t)parts * (size_t)index / (size_t)parts;
}

/* Arrays in panel order: their size, an element, and a thread's slice where each is for itself. */
static inline size_t fm_param_bytes(const fm_net *net)
{
    return net->n_params * net->kernels->real_size;
}
static inline void *fm_element(const fm_net *net, void *panels, size_t index)
{
    return (unsigned char *)panels + index * net->kernels->real_size;
}
typedef struct fm_span {
    size_t first, count;
} fm_span;
static inline fm_span fm_span_of_params(const fm_net *net, int thread, int threads)
{
    const size_t block = net->kernels->block, blocks = net->n_params / block;
    const size_t first = fm_slice(blocks, thread, threads);
    return (fm_span){first * block, (fm_slice(blocks, thread + 1, threads) - first) * block};
}

#endif
