/* step.h -- a batch forward and backward, by threads that divide each layer between barriers */
#ifndef FM_STEP_H
#define FM_STEP_H

#include "engine.h"
#include "threads/barrier.h"

/* The batch from x to the outputs. False: a value of x that this thread gathered, or copied for
 * the next batch, is not finite. */
bool fm_step_forward(const fm_net *, const fm_work *, const fm_batch *, const fm_part *,
                     enum fm_keep, fm_barrier *);
/* From the outputs to losses and the deltas of layers last_layer and above. What other threads
 * have done of it is there only after the next barrier. */
void fm_step_backward(const fm_net *, const fm_work *, const fm_batch *, const fm_part *,
                      size_t last_layer, fm_barrier *);

#endif
