/* plan.h -- the cost model: how many threads a pass over some rows pays for */
#ifndef FM_PLAN_H
#define FM_PLAN_H

#include "engine.h"

/* Threads for steps of `rows` rows: what they pay for, at most `wanted`, or what the machine has where that is 0. */
int fm_plan_training(const fm_net *, size_t rows, int wanted);
/* Threads for a pass over `rows` rows that changes no weight. */
int fm_plan_pass(const fm_net *, size_t rows, int wanted);
/* Rows that a thread takes through all layers at once in such a pass. */
size_t fm_plan_chunk(size_t rows);

#endif
