/* update.h -- from a stored gradient to the parameters: norm, clipping, optimizer, max_norm */
#ifndef FM_UPDATE_H
#define FM_UPDATE_H

#include "engine.h"

enum { FM_NORM_CHUNK = 1 << 14 }; /* elements whose squares one thread sums, in one order */

size_t fm_norm_chunks(const fm_net *);
/* The optimizer's step from trainer->gradient, which is clipped first; gives the gradient's norm
 * where it is wanted. A barrier must lie before it. */
double fm_update_stored(fm_trainer *, const fm_update *, int thread, int threads);
/* Each unit's weights within max_norm; then their average, which must see that. */
void fm_limit_weights(fm_trainer *, const fm_update *, int thread, int threads);

#endif
