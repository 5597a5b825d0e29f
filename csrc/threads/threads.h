/* threads.h -- a barrier that spins for some microseconds, then sleeps; the clock */
#ifndef FM_THREADS_H
#define FM_THREADS_H

#include "fastmlp.h"

#include <stdatomic.h>
#include <time.h>

typedef struct fm_barrier {
    _Alignas(64) atomic_int arrived;
    _Alignas(64)
        atomic_int generation; /* of the wait under way: changes when the last thread arrives */
    atomic_int sleepers;
} fm_barrier;

void fm_barrier_meet(fm_barrier *, int threads);

/* All of `threads` threads meet here; what each wrote before is seen by all after. */
static inline void fm_barrier_wait(fm_barrier *barrier, int threads)
{
    if (threads > 1) fm_barrier_meet(barrier, threads);
}

/* Seconds of a clock that is never set back. */
static inline double fm_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Threads that nothing is known of share nothing. */
#define FM_NOT_MEASURED ((fm_distance){1, 1, 1})

#endif
