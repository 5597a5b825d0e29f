/* plan.h -- the cost model: how many threads a pass over some rows pays for */
#ifndef FM_PLAN_H
#define FM_PLAN_H

#include "engine.h"
#include "threads/threads.h"

/* Most threads that steps of `rows` rows could pay for on any machine, within what is wanted (0: all there are). */
int fm_plan_training(const fm_net *, const fm_train *, int wanted);
/* No more than there are processors: threads that take turns on one would wait for one another. */
int fm_plan_present(int threads);
/* Threads, at most `most`, for so many steps from now on, where threads are so far apart. */
int fm_plan_steps(const fm_net *, const fm_train *, double steps, int most, fm_distance);
/* Seconds that so many steps are worth waiting for threads before their distance is measured; 0: they are not worth that. */
double fm_plan_patience(const fm_net *, const fm_train *, double steps, int most);
/* Multiply-adds of the smallest piece that a thread takes from another's share of a step. */
size_t fm_plan_piece(void);
/* Threads for a pass over `rows` rows that changes no weight. */
int fm_plan_pass(const fm_net *, size_t rows, int wanted);
/* Rows that a thread takes through all layers at once in such a pass. */
size_t fm_plan_chunk(size_t rows);

#endif
