/* plan.h -- the cost model: how many threads a pass over some rows pays for */
#ifndef FM_PLAN_H
#define FM_PLAN_H

#include "engine.h"

/* What is taken for the latencies of threads that nothing is known of: they work alone. */
#define FM_NOT_MEASURED ((fm_latency){1, 1, 1})

/* Most threads that steps of batch_size rows could pay for on any machine, within what is wanted
 * (0: all there are). */
int fm_plan_training(const fm_net *, const fm_train *, int wanted);
/* No more than there are processors: threads that take turns on one would wait for one another. */
int fm_plan_present(int threads);
/* Threads, at most `most`, for so many steps from now on, with these latencies. */
int fm_plan_steps(const fm_net *, const fm_train *, double steps, int most, fm_latency);
/* Seconds that so many steps are worth waiting for threads before latencies are measured; 0: they
 * are not worth that. */
double fm_plan_patience(const fm_net *, const fm_train *, double steps, int most);
/* Multiply-adds of the smallest piece that a thread takes from another's slice of a step. */
size_t fm_plan_piece(void);
/* Threads for a pass over `rows` rows that changes no weight, within what is wanted. */
int fm_plan_pass(const fm_net *, size_t rows, int wanted);
/* Threads to look at so many elements once, within what is wanted. */
int fm_plan_check(size_t elements, int wanted);

#endif
