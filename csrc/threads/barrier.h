/* barrier.h -- a barrier for the threads of one parallel region that spins, yields, then sleeps */
#ifndef FM_BARRIER_H
#define FM_BARRIER_H

#include <stdatomic.h>

typedef struct fm_barrier {
    _Alignas(64) atomic_int arrived;
    /* of the wait under way: changes when the last thread arrives */
    _Alignas(64) atomic_int generation;
    atomic_int sleepers;
} fm_barrier;

void fm_barrier_sync(fm_barrier *, int threads);

/* Returns once all of `threads` threads have called it; what each wrote before is seen by all. */
static inline void fm_barrier_wait(fm_barrier *barrier, int threads)
{
    if (threads > 1) fm_barrier_sync(barrier, threads);
}

#endif
