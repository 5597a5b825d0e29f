/* poll.h -- whether a pass goes on: its thread 0 asks the caller, every 50 ms or so */
#ifndef FM_POLL_H
#define FM_POLL_H

#include "fastmlp.h"
#include "threads/float_mode.h"

#include <stdbool.h>

/* Reading the clock costs as much as a tiny step: it is read once in so much work. */
#define FM_CLOCK_WORK 1e6

/* Made and used by the thread that called the engine. */
typedef struct fm_poll {
    const fm_stop *stop;   /* NULL: nobody is asked */
    fm_float_mode outside; /* mode in which the caller's code runs */
    double next;           /* when it is asked, by fm_now() */
    double work;           /* multiply-adds since the clock was read */
} fm_poll;

fm_poll fm_poll_start(const fm_stop *);
/* Whether the caller wants a stop, asked if it is time: `now` by fm_now(). */
bool fm_poll_at(fm_poll *, double now);
bool fm_poll_clock(fm_poll *);

/* The same, after so many multiply-adds. */
static inline bool fm_poll_stops(fm_poll *poll, double work)
{
    if (!poll->stop || (poll->work += work) < FM_CLOCK_WORK) return false;
    return fm_poll_clock(poll);
}

#endif
