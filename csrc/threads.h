/* threads.h -- a barrier that spins for some microseconds, then sleeps */
#ifndef FM_THREADS_H
#define FM_THREADS_H

#include <stdatomic.h>

typedef struct fm_barrier {
    _Alignas(64) atomic_int arrived;
    _Alignas(64) atomic_int generation; /* of the wait under way: changes when the last thread arrives */
    atomic_int sleepers;
} fm_barrier;

void fm_barrier_meet(fm_barrier *, int threads);

/* All of `threads` threads meet here; what each wrote before is seen by all after. */
static inline void fm_barrier_wait(fm_barrier *barrier, int threads)
{
    if (threads > 1) fm_barrier_meet(barrier, threads);
}

/* What it costs threads to work on one thing, in seconds. */
typedef struct fm_distance {
    double barrier; /* to meet */
    double line;    /* for a cache line that one has written to be read by another and taken back for writing */
} fm_distance;

/* Threads that nothing is known of share nothing. */
#define FM_NOT_MEASURED ((fm_distance){1, 1})

/* Measured on so many threads, between the first and the last of them; some 20 us and what it takes to wake them. */
fm_distance fm_threads_distance(int threads);

#endif
