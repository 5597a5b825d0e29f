/* creation.c -- how many threads the system grants: so many are created together, then ended
 *
 * They have the stacks that libgomp's threads have, so that memory for stacks is tried as well.
 */
#include "threads/creation.h"

#ifdef _WIN32
int fm_threads_creatable(int wanted, double patience)
{
    (void)patience;
    return wanted;
}
#else

#include "threads/clock.h"
#include "threads/count.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

enum { PAUSE_NS = 1000 * 1000 }; /* between two trials */
/* Most seconds to wait until the system has forgotten a thread that ended. */
static const double FORGOTTEN = 20e-3;

typedef struct trial {
    pthread_t thread;
    pthread_mutex_t *gate;
    long id; /* Linux's */
} trial;

static void *wait_at_gate(void *context)
{
    trial *t = context;
#ifdef __linux__
    t->id = syscall(SYS_gettid);
#endif
    pthread_mutex_lock(t->gate);
    pthread_mutex_unlock(t->gate);
    return NULL;
}

/* The system counts a thread until it has let go of its number, which is later than its join. */
static void wait_until_forgotten(const trial *t)
{
#ifdef __linux__
    const double deadline = fm_now() + FORGOTTEN;
    while (syscall(SYS_tgkill, getpid(), t->id, 0) == 0 && fm_now() < deadline) sched_yield();
#else
    (void)t;
#endif
}

/* Bytes of "16M", " 512 k " or "512" (of kilobytes), as OMP_STACKSIZE has them; 0: not valid. */
static size_t parse_stack_size(const char *text)
{
    char *end;
    if (!text) return 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (end == text) return 0;
    int shift = 10;
    while (*end == ' ' || (*end >= '\t' && *end <= '\r')) end++;
    switch (*end) {
    case 'b':
    case 'B': shift = 0; break;
    case 'm':
    case 'M': shift = 20; break;
    case 'g':
    case 'G': shift = 30; break;
    }
    return number > SIZE_MAX >> shift ? 0 : (size_t)number << shift;
}

static void set_stack_size(pthread_attr_t *attributes)
{
    size_t bytes = parse_stack_size(getenv("OMP_STACKSIZE"));
    if (!bytes) bytes = parse_stack_size(getenv("GOMP_STACKSIZE"));
    /* a size that the system does not take is left out, as libgomp does */
    if (bytes) (void)pthread_attr_setstacksize(attributes, bytes);
}

/* How many of `wanted` threads could be there at once. All have ended when it returns. */
static int create_and_end(int wanted)
{
    trial trials[FM_MOST_THREADS];
    pthread_mutex_t gate;
    pthread_attr_t attributes;
    int created = 0;
    if (pthread_attr_init(&attributes)) return 0;
    set_stack_size(&attributes);
    pthread_mutex_init(&gate, NULL);
    pthread_mutex_lock(&gate);
    while (created < wanted) {
        trial *t = &trials[created];
        t->gate = &gate;
        if (pthread_create(&t->thread, &attributes, wait_at_gate, t)) break;
        created++;
    }
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < created; i++) pthread_join(trials[i].thread, NULL);
    for (int i = 0; i < created; i++) wait_until_forgotten(&trials[i]);
    pthread_mutex_destroy(&gate);
    pthread_attr_destroy(&attributes);
    return created;
}

int fm_threads_creatable(int wanted, double patience)
{
    const double deadline = fm_now() + patience;
    int created = create_and_end(wanted);
    while (created < wanted && fm_now() < deadline) {
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        created = create_and_end(wanted);
    }
    return created;
}
#endif
