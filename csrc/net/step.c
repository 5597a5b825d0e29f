/* step.c -- a batch forward and backward, by threads that divide each layer between barriers */
#include "net/step.h"

bool fm_step_forward(const fm_net *net, const fm_work *work, const fm_batch *batch,
                     const fm_part *part, enum fm_keep keep, fm_barrier *barrier)
{
    const fm_kernels *k = net->kernels;
    const size_t last = net->n_layers - 1;
    bool finite = k->gather(net, work, batch, part);
    for (size_t l = 1; l <= last; l++) {
        if (l > 1 || !batch->copied) fm_barrier_wait(barrier, part->parts);
        finite = k->forward(net, work, batch, part, l, keep) && finite;
    }
    /* one panel is divided by rows, as the losses are: nobody waits for the others' outputs */
    if (fm_panels(net, net->layer[last].n_out) > 1) fm_barrier_wait(barrier, part->parts);
    if (keep != FM_KEEP_SLOPE) k->finish_outputs(net, work, part);
    return finite;
}

void fm_step_backward(const fm_net *net, const fm_work *work, const fm_batch *batch,
                      const fm_part *part, size_t last_layer, fm_barrier *barrier)
{
    net->kernels->output_loss(net, work, batch, part);
    for (size_t l = net->n_layers - 1; l > last_layer; l--) {
        fm_barrier_wait(barrier, part->parts);
        net->kernels->backward(net, work, part, l);
    }
}
