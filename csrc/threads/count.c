/* count.c -- how many threads there are: OMP_NUM_THREADS, affinity, the control group's quota */
#include "threads/count.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#ifdef __linux__
/* Reads up to two numbers from a file of the system; how many there were. */
static int read_numbers(const char *path, long long *first, long long *second)
{
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    const int found = fscanf(file, "%lld %lld", first, second);
    fclose(file);
    return found;
}

/* Processors that the control group's quota amounts to, rounded up; 0: no quota. */
static int quota_processors(void)
{
    long long quota = -1, period = 0, none;
    /* version 2 has "max 100000" where there is no quota, version 1 has -1 */
    if (read_numbers("/sys/fs/cgroup/cpu.max", &quota, &period) != 2 &&
        (read_numbers("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", &quota, &none) != 1 ||
         read_numbers("/sys/fs/cgroup/cpu/cpu.cfs_period_us", &period, &none) != 1))
        return 0;
    if (quota <= 0 || period <= 0) return 0;
    const long long processors = (quota - 1) / period + 1;
    return processors < FM_MOST_THREADS ? (int)processors : FM_MOST_THREADS;
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

static const char *skip_blanks(const char *text)
{
    while (*text == ' ' || (*text >= '\t' && *text <= '\r')) text++;
    return text;
}

/* The first number of OMP_NUM_THREADS, a list by nesting level; 0 where it is not valid. */
static int environment_threads(void)
{
    const char *text = getenv("OMP_NUM_THREADS");
    if (!text) return 0;
    char *end;
    const long threads = strtol(text, &end, 10);
    const char *rest = skip_blanks(end);
    if (end == text || (*rest && *rest != ',') || threads < 1) return 0;
    return threads < FM_MOST_THREADS ? (int)threads : FM_MOST_THREADS;
}

int fm_threads_default(void)
{
    static atomic_int counted;
    if (!atomic_load(&counted)) {
        const int threads = environment_threads();
        atomic_store(&counted, threads ? threads : fm_threads_processors());
    }
    return atomic_load(&counted);
}

int fm_threads_allowed(int wanted)
{
    const int threads = wanted > 0 ? wanted : fm_threads_default();
    return threads < FM_MOST_THREADS ? threads : FM_MOST_THREADS;
}
