/* optimizers.h -- the constants of one optimizer step, folded in double before the kernels run */
#ifndef FM_OPTIMIZERS_H
#define FM_OPTIMIZERS_H

#include "engine.h"

/* Constants of step `step` (from 1 on); the moment pointers are the caller's. */
void fm_update_prepare(fm_update *, const fm_train *, double learning_rate, uint64_t step);
/* What moment array `index` holds before the first step. */
double fm_moment_start(const fm_train *, int index, double learning_rate);

#endif
