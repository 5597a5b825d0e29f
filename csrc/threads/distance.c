/* distance.c -- how far apart threads are: what it costs them to meet, to exchange lines, to share a core */
#include "threads/threads.h"

#include <float.h>
#include <stdbool.h>

/* Seconds of some meetings that say that somebody has had to wait for his turn on a processor. */
static const double TURN = 20e-6;

enum {
    ROUNDS = 6,
    MEETINGS = 8,
    LINES = 128,
    LINE_WORDS = 64 / sizeof(long),
    CHAINS = 8,
    PRODUCTS = 512
};

/* Seconds of products in so many chains that a core's multiplier has no time for anybody else's: about 1 us. */
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

typedef struct meeting {
    _Alignas(64) volatile long line[LINES * LINE_WORDS];
    fm_barrier barrier;
    double met[ROUNDS], written[ROUNDS], read[ROUNDS], together[ROUNDS],
        alone[ROUNDS]; /* seconds of every round */
    double deadline;
    enum { WAITING, APART, LATE } state;
    int threads; /* that came */
} meeting;

/* Threads that have slept often wake on one processor and take turns there, until the system moves one of them some
 * milliseconds later. Whether each has one of its own before the deadline. */
static bool settle(meeting *m, int thread, int threads)
{
    for (;;) {
        fm_barrier_wait(&m->barrier, threads);
        const double start = fm_now();
        for (int i = 0; i < 4; i++)
            fm_barrier_wait(&m->barrier, threads); /* one alone finds the other there already */
        const double end = fm_now();
        if (thread == 0) m->state = end - start < TURN ? APART : end < m->deadline ? WAITING : LATE;
        fm_barrier_wait(&m->barrier, threads);
        if (m->state != WAITING) return m->state == APART;
    }
}

static void meet(void *context, int thread, int threads)
{
    meeting *m = context;
    if (!settle(m, thread, threads)) return;
    for (int round = 0; round < ROUNDS; round++) {
        fm_barrier_wait(&m->barrier, threads);
        const double start = fm_now();
        for (int i = 0; i < MEETINGS; i++) fm_barrier_wait(&m->barrier, threads);
        const double met = fm_now();
        if (thread == 0) {
            for (int i = 0; i < LINES; i++) m->line[i * LINE_WORDS] = round;
            m->met[round] = met - start;
            m->written[round] = fm_now() - met;
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

fm_distance fm_threads_distance(int threads, double patience)
{
    meeting m = {.threads = 1, .deadline = fm_now() + patience};
    fm_parallel(threads, meet, &m);
    if (m.threads == 1) return FM_NOT_MEASURED; /* nobody came, or not in time */
    return (fm_distance){.barrier = least(m.met) / MEETINGS,
                         .line = (least(m.written) + least(m.read)) / LINES,
                         .speed = least(m.alone) / least(m.together)};
}
