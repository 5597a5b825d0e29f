/* step.c -- a batch forward and backward, by threads that divide each layer between barriers */
#include "net/step.h"

bool fm_gate_pass(fm_gate *gate, size_t rows)
{
    if (!gate) return true;
    atomic_int *stopped = gate->stopped ? &gate->stopped[gate->turn++ % 2] : NULL;
    if (stopped && gate->thread == 0 && fm_poll_stops(gate->poll, (double)rows * gate->work))
        atomic_store(stopped, 1);
    fm_barrier_wait(gate->barrier, gate->threads);
    if (stopped && atomic_load(stopped)) gate->closed = true;
    return !gate->closed;
}

bool fm_step_forward(const fm_net *net, const fm_work *work, const fm_batch *batch,
                     const fm_part *part, enum fm_keep keep, fm_gate *gate)
{
    const fm_kernels *k = net->kernels;
    const size_t last = net->n_layers - 1;
    bool finite = k->gather(net, work, batch, part);
    for (size_t l = 1; l <= last; l++) {
        if ((l > 1 || !batch->copied) && !fm_gate_pass(gate, batch->count)) return finite;
        finite = k->forward(net, work, batch, part, l, keep) && finite;
    }
    /* one panel is divided by rows, as the losses are: nobody waits for the others' outputs */
    if (fm_panels(net, net->layer[last].n_out) > 1 && !fm_gate_pass(gate, batch->count))
        return finite;
    if (keep != FM_KEEP_SLOPE) k->finish_outputs(net, work, part);
    return finite;
}

void fm_step_backward(const fm_net *net, const fm_work *work, const fm_batch *batch,
                      const fm_part *part, size_t last_layer, fm_gate *gate)
{
    if (gate && gate->closed) return;
    net->kernels->output_loss(net, work, batch, part);
    for (size_t l = net->n_layers - 1; l > last_layer; l--) {
        if (!fm_gate_pass(gate, batch->count)) return;
        net->kernels->backward(net, work, part, l);
    }
}
