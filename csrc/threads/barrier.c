/* barrier.c -- a barrier that spins for some microseconds, yields for milliseconds, then sleeps */
#include "threads/barrier.h"

#include <stddef.h>
#ifndef _WIN32
#include <sched.h>
#include <unistd.h>
#endif
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

/* Spinning, some 80 us on a Zen 5: a system call at each barrier would cost as much as a small
 * network's step. */
enum { SPINS = 3000 };
/* Yielding, a millisecond or two: waking a sleeper takes 100 us, so that whoever wakes it sleeps
 * itself before the next barrier, and so on. */
enum { YIELDS = 4000 };

static inline void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Lets other threads of the system have the processor, where it can be asked to. */
static inline void yield_processor(void)
{
#ifdef _WIN32
    pause_briefly();
#else
    sched_yield();
#endif
}

static void sleep_until_changed(atomic_int *generation, int old)
{
#ifdef __linux__
    syscall(SYS_futex, generation, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
#else
    (void)generation;
    (void)old;
    yield_processor();
#endif
}

static void wake_all(atomic_int *generation, int threads)
{
#ifdef __linux__
    syscall(SYS_futex, generation, FUTEX_WAKE_PRIVATE, threads, NULL, NULL, 0);
#else
    (void)generation;
    (void)threads;
#endif
}

void fm_barrier_sync(fm_barrier *barrier, int threads)
{
    const int old = atomic_load_explicit(&barrier->generation, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&barrier->arrived, 1, memory_order_acq_rel) == threads - 1) {
        atomic_store_explicit(&barrier->arrived, 0, memory_order_relaxed);
        atomic_store(&barrier->generation, old + 1);
        if (atomic_load(&barrier->sleepers)) wake_all(&barrier->generation, threads);
        return;
    }
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&barrier->generation, memory_order_acquire) != old) return;
        pause_briefly();
    }
    for (int i = 0; i < YIELDS; i++) {
        if (atomic_load_explicit(&barrier->generation, memory_order_acquire) != old) return;
        yield_processor();
    }
    atomic_fetch_add(&barrier->sleepers, 1);
    while (atomic_load(&barrier->generation) == old) sleep_until_changed(&barrier->generation, old);
    atomic_fetch_sub(&barrier->sleepers, 1);
}
