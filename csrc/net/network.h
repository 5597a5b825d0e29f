/* network.h -- the workspace of a pass: made once, written by every pass */
#ifndef FM_NETWORK_H
#define FM_NETWORK_H

#include "engine.h"

/* What a workspace has: activations; the arrays of training; d[0] too, for gradients of inputs. */
typedef enum { FM_WORK_FORWARD, FM_WORK_TRAIN, FM_WORK_INPUT } fm_work_kind;

fm_status fm_work_create(fm_work **, const fm_net *, size_t rows, size_t threads, fm_work_kind);
/* Makes the inputs of a workspace a double buffer: its `other`, which is freed with it. */
fm_status fm_work_double_inputs(fm_work *, const fm_net *);
size_t fm_input_bytes(const fm_net *, size_t rows);
void fm_work_free(fm_work *);

#endif
