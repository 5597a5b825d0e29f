/* count.h -- how many threads a caller may have: what was asked for, or what the machine has */
#ifndef FM_COUNT_H
#define FM_COUNT_H

#include "fastmlp.h" /* fm_threads_default, fm_threads_processors */

/* Most threads of a parallel region, whatever is asked for. */
enum { FM_MOST_THREADS = 256 };

/* What is wanted, or, where that is 0, what there is by default; FM_MOST_THREADS at most. */
int fm_threads_allowed(int wanted);

#endif
