/* step.h -- a batch forward and backward, by threads that share each layer */
#ifndef FM_STEP_H
#define FM_STEP_H

#include "engine.h"
#include "threads/barrier.h"

/* The batch from x to the outputs. False: a value of x that this share gathered, or
 * copied for the next batch, is not finite. */
bool fm_step_forward(const fm_net *, const fm_work *, const fm_batch *, const fm_part *,
                     enum fm_keep, fm_barrier *);
/* From the outputs to losses and the deltas of layers last_layer and above. Ends at a barrier. */
void fm_step_backward(const fm_net *, const fm_work *, const fm_batch *, const fm_part *,
                      size_t last_layer, fm_barrier *);

#endif
