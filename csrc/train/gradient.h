/* gradient.h -- the gradient of many rows: forward, backward and weights phase chunk by chunk
 *
 * The chunks form leaves, 16 of them where there are as many, each a compensated sum over a chain
 * of chunks; the leaves are added by the tree of net/chunks.h, the losses in double. Shards of rows
 * can be leaves too.
 */
#ifndef FM_GRADIENT_H
#define FM_GRADIENT_H

#include "threads/poll.h"
#include "engine.h"
#include "threads/barrier.h"

enum { FM_LEAVES = 16, FM_LEVELS = 5 }; /* a level for each sum that waits for its neighbour */

typedef struct fm_gradient_sum {
    size_t chunk;           /* rows, even */
    void *sum[FM_LEVELS];   /* panels; the result is in the first */
    double loss[FM_LEVELS]; /* of the same rows */
    void *rest;             /* what rounding took off the leaf under way; NULL: one chunk each */
    atomic_int stopped[2];  /* of its gate */
    atomic_int infinite;    /* a value of x is not finite */
} fm_gradient_sum;

/* For batches of so many rows in such chunks. `result` (panels) is the caller's. With a poll: each
 * array of a large network takes some time to clear, and after it FM_STOPPED may be the end. */
fm_status fm_gradient_sum_create(fm_gradient_sum **, const fm_net *, size_t rows, size_t chunk,
                                 void *result, fm_poll *);
void fm_gradient_sum_free(fm_gradient_sum *);

/* Work stealing within the phases of a step: counts of pieces begun, two sets in turn. */
typedef struct fm_stealing {
    atomic_uint *begun; /* (2, threads, stride), or NULL: there is one thread */
    size_t stride, threads;
} fm_stealing;

fm_status fm_stealing_create(fm_stealing *, const fm_net *, size_t threads);
void fm_stealing_reset(fm_stealing *);
/* A thread's part of a batch of `rows` rows, the `turn`th one that is worked on; every thread calls
 * it, and between two turns there is a barrier. */
fm_part fm_part_of_step(const fm_stealing *, size_t rows, unsigned turn, int thread, int threads);

/* The summed gradient of the batch, and of the penalties in `penalties`. Every thread calls it,
 * thread 0 with a poll. False, for every thread: stopped. There is no barrier at its end. */
bool fm_gradient_sum_run(fm_gradient_sum *, const fm_net *, const fm_work *, const fm_batch *,
                         const fm_update *penalties, const fm_stealing *, unsigned *turn,
                         fm_barrier *, fm_poll *, int thread, int threads);

#endif
