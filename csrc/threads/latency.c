/* latency.c -- what threads cost one another: barrier latency, core-to-core latency, speed */
#include "threads/barrier.h"
#include "threads/clock.h"
#include "threads/plan.h"

#include <float.h>
#include <stdbool.h>

/* Seconds of four barriers that say that a thread has had to wait for its turn on a processor. */
static const double TURN = 20e-6;

enum {
    ROUNDS = 6,
    BARRIERS = 8,
    LINES = 128,
    LINE_WORDS = 64 / sizeof(long),
    CHAINS = 8,
    PRODUCTS = 512
};

/* Seconds, about 1 us, of products in so many chains that a core's multiplier is never idle. */
static double multiply(volatile uint64_t *first)
{
    const double start = fm_now();
    uint64_t x[CHAINS];
    for (int i = 0; i < CHAINS; i++) x[i] = *first + (uint64_t)i;
    for (int k = 0; k < PRODUCTS; k++)
        for (int i = 0; i < CHAINS; i++) x[i] *= 0x9E3779B97F4A7C15u;
    for (int i = 1; i < CHAINS; i++) x[0] ^= x[i];
    *first = x[0] | 1;
    return fm_now() - start;
}

typedef struct measurement {
    _Alignas(64) volatile long line[LINES * LINE_WORDS];
    fm_barrier barrier;
    /* seconds of every round: of barriers, of lines, of products */
    double waited[ROUNDS], written[ROUNDS], read[ROUNDS], together[ROUNDS], alone[ROUNDS];
    double deadline;
    enum { WAITING, APART, LATE } state;
    int threads; /* that were there */
} measurement;

/* Whether each thread has a processor of its own before the deadline: those that have slept often
 * wake on one and take turns there, until the system moves one some milliseconds later. */
static bool settle(measurement *m, int thread, int threads)
{
    for (;;) {
        fm_barrier_wait(&m->barrier, threads);
        const double start = fm_now();
        for (int i = 0; i < 4; i++) fm_barrier_wait(&m->barrier, threads);
        const double end = fm_now();
        if (thread == 0) m->state = end - start < TURN ? APART : end < m->deadline ? WAITING : LATE;
        fm_barrier_wait(&m->barrier, threads);
        if (m->state != WAITING) return m->state == APART;
    }
}

static void measure(void *context, int thread, int threads)
{
    measurement *m = context;
    if (!settle(m, thread, threads)) return;
    for (int round = 0; round < ROUNDS; round++) {
        fm_barrier_wait(&m->barrier, threads);
        const double start = fm_now();
        for (int i = 0; i < BARRIERS; i++) fm_barrier_wait(&m->barrier, threads);
        const double waited = fm_now();
        if (thread == 0) {
            for (int i = 0; i < LINES; i++) m->line[i * LINE_WORDS] = round;
            m->waited[round] = waited - start;
            m->written[round] = fm_now() - waited;
            m->threads = threads;
        }
        fm_barrier_wait(&m->barrier, threads);
        if (thread == threads - 1) {
            const double written = fm_now();
            long sum = 0;
            for (int i = 0; i < LINES; i++) sum += m->line[i * LINE_WORDS];
            m->line[1] = sum;
            m->read[round] = fm_now() - written;
        }
        volatile uint64_t factor = 1;
        fm_barrier_wait(&m->barrier, threads);
        const double together = multiply(&factor);
        fm_barrier_wait(&m->barrier, threads);
        if (thread > 0) continue;
        m->together[round] = together;
        m->alone[round] = multiply(&factor);
    }
}

static double least(const double seconds[ROUNDS])
{
    double least = DBL_MAX; /* of all rounds but the first, which finds everything cold */
    for (int i = 1; i < ROUNDS; i++)
        if (seconds[i] < least) least = seconds[i];
    return least;
}

fm_latency fm_threads_latency(int threads, double patience)
{
    measurement m = {.threads = 1, .deadline = fm_now() + patience};
    fm_parallel(threads, measure, &m);
    if (m.threads == 1) return FM_NOT_MEASURED; /* alone, or without processors of their own */
    return (fm_latency){.barrier = least(m.waited) / BARRIERS,
                        .line = (least(m.written) + least(m.read)) / LINES,
                        .speed = least(m.alone) / least(m.together)};
}
