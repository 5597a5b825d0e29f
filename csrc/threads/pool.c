/* pool.c -- parallel regions: OpenMP runs them, on threads that the system is known to grant
 *
 * OpenMP ends the process where it cannot create a thread. So before a region has more threads
 * than the one before, as many are created for a trial; where that fails, it takes fewer.
 */
#include "threads/clock.h"
#include "threads/count.h"
#include "threads/creation.h"
#include "threads/float_mode.h"

#include <stdatomic.h>
#include <stdbool.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#ifndef _WIN32
#include <pthread.h>
#include <unistd.h>
#endif

typedef void region_body(void *context, int thread, int threads);

static void run_body(region_body *body, void *context, int thread, int threads)
{
    const fm_float_mode before = fm_float_mode_enter();
    body(context, thread, threads);
    fm_float_mode_restore(before);
}

int fm_threads_openmp(void)
{
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}

/* What the system refused first: threads wanted x REFUSAL + threads there were; 0: nothing. */
static atomic_int refusal;
enum { REFUSAL = 2 * FM_MOST_THREADS, TOLD = -1 };

int fm_threads_refused(int *wanted, int *granted)
{
    int found = atomic_load(&refusal);
    if (found <= 0 || !atomic_compare_exchange_strong(&refusal, &found, TOLD)) return 0;
    *wanted = found / REFUSAL;
    *granted = found % REFUSAL;
    return 1;
}

#ifdef _OPENMP
/* Threads of the calling thread's last region. Each caller has a pool of its own, and libgomp ends
 * those of its threads that a region has no use for. */
static _Thread_local int pool_size = 1;

#ifdef _WIN32
static bool may_use_threads(void) { return true; }
static int begin_growth(int threads) { return threads; }
static void end_growth(void) {}
#else
/* OpenMP's threads do not live on in a forked child, and a region there would wait for them for
 * ever: a process that is not the one that started threads works alone. */
static bool may_use_threads(void)
{
    static atomic_int owner;
    int none = 0, self = (int)getpid();
    return atomic_compare_exchange_strong(&owner, &none, self) || none == self;
}

/* Held from a trial until OpenMP has created what the trial found. */
static pthread_mutex_t growth = PTHREAD_MUTEX_INITIALIZER;
/* Seconds until a caller asks again for threads that were refused. */
static const double REFUSED_FOR = 1;
static _Thread_local double refused_until;
/* Seconds to try for: threads that ended just now still count. Most likely where the caller has
 * had as many before. */
static const double PATIENCE = 2e-3, PATIENCE_FOR_THE_SAME = 20e-3;
static _Thread_local int largest = 1;

/* Threads, at most so many, that a region can have; end_growth is called once they are there. */
static int begin_growth(int threads)
{
    pthread_mutex_lock(&growth);
    if (fm_now() < refused_until) return pool_size;
    const double patience = threads > largest ? PATIENCE : PATIENCE_FOR_THE_SAME;
    const int granted = pool_size + fm_threads_creatable(threads - pool_size, patience);
    if (granted > largest) largest = granted;
    if (granted < threads) {
        int nothing = 0;
        atomic_compare_exchange_strong(&refusal, &nothing, threads * REFUSAL + granted);
        refused_until = fm_now() + REFUSED_FOR;
    }
    return granted;
}

static void end_growth(void) { pthread_mutex_unlock(&growth); }
#endif

/* Threads that a region of so many may have; one within somebody else's. */
static int permitted(int threads)
{
    if (threads <= 1 || omp_in_parallel() || omp_get_max_active_levels() < 1) return 1;
    if (!may_use_threads()) return 1;
    const int limit = omp_get_thread_limit();
    threads = threads < limit ? threads : limit;
    return threads < FM_MOST_THREADS ? threads : FM_MOST_THREADS;
}

void fm_parallel(int threads, region_body *body, void *context)
{
    threads = permitted(threads);
    const bool grows = threads > pool_size;
    if (grows) threads = begin_growth(threads);
    if (threads == 1) {
        if (grows) end_growth();
        run_body(body, context, 0, 1);
        return;
    }
#pragma omp parallel num_threads(threads)
    {
        const int thread = omp_get_thread_num(), present = omp_get_num_threads();
        if (thread == 0) { /* the caller, which begins only once all threads are there */
            pool_size = present;
            if (grows) end_growth();
        }
        run_body(body, context, thread, present);
    }
}
#else
void fm_parallel(int threads, region_body *body, void *context)
{
    (void)threads;
    run_body(body, context, 0, 1);
}
#endif
