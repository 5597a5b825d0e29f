/* step.h -- a batch forward and backward, by threads that divide each layer between barriers */
#ifndef FM_STEP_H
#define FM_STEP_H

#include "engine.h"
#include "threads/barrier.h"
#include "threads/poll.h"

/* The barriers of a step, at which its threads learn whether to go on. Each has its own copy. */
typedef struct fm_gate {
    fm_barrier *barrier;
    int thread, threads;
    fm_poll *poll; /* thread 0's */
    atomic_int
        *stopped; /* [2], in turn, as the last one may still be read; NULL: nobody stops it */
    unsigned turn;
    double work; /* multiply-adds of a row between two barriers, at most */
    bool closed; /* for every thread: the step is given up */
} fm_gate;

/* Waits for the others, after work on so many rows. False: the step is given up. */
bool fm_gate_pass(fm_gate *, size_t rows);

/* The batch from x to the outputs; without a gate by one thread. False: a value of x that this
 * thread gathered, or copied for the next batch, is not finite. */
bool fm_step_forward(const fm_net *, const fm_work *, const fm_batch *, const fm_part *,
                     enum fm_keep, fm_gate *);
/* From the outputs to losses and the deltas of layers last_layer and above. What other threads
 * have done of it is there only after the next barrier. */
void fm_step_backward(const fm_net *, const fm_work *, const fm_batch *, const fm_part *,
                      size_t last_layer, fm_gate *);

#endif
