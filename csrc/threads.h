/* threads.h -- a barrier that spins for some microseconds, then sleeps */
#ifndef FM_THREADS_H
#define FM_THREADS_H

#include "fastmlp.h"

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

/* Threads that nothing is known of share nothing. */
#define FM_NOT_MEASURED ((fm_distance){1, 1, 1})

#endif
