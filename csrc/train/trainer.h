/* trainer.h -- a trainer and its run under way, which the files of this folder have in common */
#ifndef FM_TRAINER_H
#define FM_TRAINER_H

#include "threads/poll.h"
#include "engine.h"
#include "threads/barrier.h"
#include "train/gradient.h"

/* The call of fm_trainer_run under way. */
typedef struct fm_run {
    const fm_data *data;
    const double *rates;
    size_t n_rates, epochs;
    double deadline;
    fm_record *record;
    fm_poll poll;
    atomic_int over;      /* no further batch: time is up, or the caller wants a stop */
    atomic_int infinite;  /* a parameter is NaN or infinity */
    bool stopped;         /* over, for the caller wants it */
    atomic_int closed[2]; /* of the gates of its steps */
    fm_status status;
} fm_run;

struct fm_trainer {
    fm_net *net;
    fm_train train;
    fm_train_state state;
    fm_epoch_state epoch; /* under way */
    size_t rows;          /* of that epoch; 0: not known yet */
    uint32_t *order;      /* [order_rows] order of its rows */
    size_t order_rows;
    uint64_t ordered;  /* number of the epoch that the order is for, from 1 on */
    double first_rate; /* of the epoch: some moments start at it */

    fm_work *work;
    int most_threads;
    fm_latency latency; /* as last measured */
    double measured;    /* when, by fm_now() */
    double alone;       /* seconds until that is done again; 0 after a slice on several threads */
    fm_barrier barrier;
    fm_stealing stealing;

    void *moment[FM_MAX_MOMENTS];
    void *average;
    int average_empty; /* no step has gone into it yet */
    void *snapshot;    /* the parameters as the epoch began: finite */
    bool has_snapshot;
    fm_gradient_sum *sum; /* of batches that are cut into chunks; or NULL */
    double batch_weight;  /* of such a batch */
    void *gradient;       /* stored before it is used: of those, for clipping and norms; or NULL */
    fm_squares *norm_parts; /* [fm_norm_chunks()], or NULL: norms are not wanted */
    fm_run run;
};

/* One thread's part of a run: train/epoch.c. */
void fm_train_body(void *trainer, int thread, int threads);

/* train/divergence.c */
/* Sets run.infinite if a parameter of this thread's slice is not finite. */
void fm_check_parameters(fm_trainer *, int thread, int threads);
/* Keeps the parameters if they are finite. Every thread calls it; no barrier at its end. */
void fm_take_snapshot(fm_trainer *, int thread, int threads);
/* Gives up the epoch under way: parameters go back to its start, if they are not finite or
 * `always`; spoilt moments and averages begin anew. */
void fm_give_up_epoch(fm_trainer *, bool always);

#endif
