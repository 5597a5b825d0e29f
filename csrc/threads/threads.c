/* threads.c -- threads: OpenMP, how they treat numbers, the barrier, how many there are */
#include "threads/threads.h"

#include <stdio.h>
#include <stdlib.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#ifdef __SSE2__
#include <xmmintrin.h>
#endif
#ifndef _WIN32
#include <sched.h>
#include <unistd.h>
#endif
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

/* A step of a small network takes tens of microseconds and meets several barriers; a system call at each would cost as
 * much as the work. 3,000 pauses are some 80 microseconds on a Zen 5. To wake a thread that sleeps takes as long in a
 * virtual machine, or longer: were it to sleep so soon, the one that wakes it would be asleep itself before it came
 * to the next barrier, and so on from barrier to barrier. So it stays awake for a millisecond or two, but lets other
 * threads of the system have the processor. */
enum { SPINS = 3000, YIELDS = 4000 };

static inline void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void fm_barrier_meet(fm_barrier *barrier, int threads)
{
    int generation = atomic_load_explicit(&barrier->generation, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&barrier->arrived, 1, memory_order_acq_rel) == threads - 1) {
        atomic_store_explicit(&barrier->arrived, 0, memory_order_relaxed);
        atomic_store(&barrier->generation, generation + 1);
#ifdef __linux__
        if (atomic_load(&barrier->sleepers))
            syscall(SYS_futex, &barrier->generation, FUTEX_WAKE_PRIVATE, threads, NULL, NULL, 0);
#endif
        return;
    }
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&barrier->generation, memory_order_acquire) != generation) return;
        pause_briefly();
    }
#ifndef _WIN32
    for (int i = 0; i < YIELDS; i++) {
        if (atomic_load_explicit(&barrier->generation, memory_order_acquire) != generation) return;
        sched_yield();
    }
#endif
    atomic_fetch_add(&barrier->sleepers, 1);
    while (atomic_load(&barrier->generation) == generation) {
#if defined(__linux__)
        syscall(SYS_futex, &barrier->generation, FUTEX_WAIT_PRIVATE, generation, NULL, NULL, 0);
#elif !defined(_WIN32)
        sched_yield();
#else
        pause_briefly();
#endif
    }
    atomic_fetch_sub(&barrier->sleepers, 1);
}

int fm_threads_openmp(void)
{
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}

#ifdef _OPENMP
/* The OpenMP runtime's threads do not live on in a forked child, and its first parallel region there would wait for
 * them for ever: a child that is not the process that started them works alone. The bits are the same. */
static int threads_usable(void)
{
#ifdef _WIN32
    return 1;
#else
    static atomic_int owner;
    int none = 0, self = (int)getpid();
    return atomic_compare_exchange_strong(&owner, &none, self) || none == self;
#endif
}
#endif

/* Subnormal numbers count as 0 while a body runs: a processor takes longer for them, and they stay. The mean of a weight's
 * gradients, once these are 0 for good, shrinks to the smallest of them within some 800 steps, where rounding keeps it. */
#if defined(__SSE2__)
typedef unsigned float_control;
enum { FLUSH_RESULTS = 1 << 15, FLUSH_OPERANDS = 1 << 6 };
static float_control flush_subnormals(void)
{
    const float_control before = _mm_getcsr();
    _mm_setcsr(before | FLUSH_RESULTS | FLUSH_OPERANDS);
    return before;
}
static void set_float_control(float_control control) { _mm_setcsr(control); }
#elif defined(__aarch64__)
typedef uint64_t float_control;
enum { FLUSH = 1 << 24 };
static void set_float_control(float_control control)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(control));
}
static float_control flush_subnormals(void)
{
    float_control before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    set_float_control(before | FLUSH);
    return before;
}
#else
typedef int float_control;
static float_control flush_subnormals(void) { return 0; }
static void set_float_control(float_control control) { (void)control; }
#endif

static void run_body(void (*body)(void *, int, int), void *context, int thread, int threads)
{
    const float_control before = flush_subnormals();
    body(context, thread, threads);
    set_float_control(before);
}

void fm_parallel(int threads, void (*body)(void *, int, int), void *context)
{
#ifdef _OPENMP
    if (threads > 1 && threads_usable()) {
#pragma omp parallel num_threads(threads)
        run_body(body, context, omp_get_thread_num(), omp_get_num_threads());
        return;
    }
#endif
    (void)threads;
    run_body(body, context, 0, 1);
}

#ifdef __linux__
/* Processors that the control group's quota amounts to, rounded up; 0: no quota. */
static int quota_processors(void)
{
    long long quota = -1, period = 0;
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r"); /* version 2 */
    if (file) {
        if (fscanf(file, "%lld %lld", &quota, &period) != 2) quota = -1; /* "max 100000" */
        fclose(file);
    } else {
        file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r");
        if (file) {
            if (fscanf(file, "%lld", &quota) != 1) quota = -1;
            fclose(file);
        }
        file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r");
        if (file) {
            if (fscanf(file, "%lld", &period) != 1) period = 0;
            fclose(file);
        }
    }
    return quota > 0 && period > 0 ? (int)((quota + period - 1) / period) : 0;
}
#endif

static int count_processors(void)
{
    int processors = 1;
#ifdef _OPENMP
    processors = omp_get_num_procs(); /* respects affinity */
#endif
#ifdef __linux__
    const int quota = quota_processors();
    if (quota && quota < processors) processors = quota;
#endif
    return processors < 1 ? 1 : processors;
}

int fm_threads_processors(void)
{
    static atomic_int counted; /* once: asking the system takes longer than a small pass */
    if (!atomic_load(&counted)) atomic_store(&counted, count_processors());
    return atomic_load(&counted);
}

int fm_threads_default(void)
{
    static atomic_int counted;
    if (!atomic_load(&counted)) {
        const char *wanted = getenv("OMP_NUM_THREADS");
        const int threads = wanted ? atoi(wanted) : 0;
        atomic_store(&counted, threads > 0 ? threads : fm_threads_processors());
    }
    return atomic_load(&counted);
}
