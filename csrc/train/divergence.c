/* divergence.c -- the parameters at the start of an epoch, and the way back to them */
#include "train/optimizers.h"
#include "train/trainer.h"

#include <string.h>

void fm_check_parameters(fm_trainer *trainer, int thread, int threads)
{
    const fm_net *net = trainer->net;
    const fm_span s = fm_span_of_params(net, thread, threads);
    if (!net->kernels->all_finite(fm_element(net, net->params, s.first), s.count))
        atomic_store_explicit(&trainer->run.infinite, 1, memory_order_relaxed);
}

void fm_take_snapshot(fm_trainer *trainer, int thread, int threads)
{
    const fm_net *net = trainer->net;
    const fm_span s = fm_span_of_params(net, thread, threads);
    fm_check_parameters(trainer, thread, threads);
    fm_barrier_wait(&trainer->barrier, threads);
    if (atomic_load_explicit(&trainer->run.infinite, memory_order_relaxed)) return;
    memcpy(fm_element(net, trainer->snapshot, s.first), fm_element(net, net->params, s.first),
           s.count * net->kernels->real_size);
}

void fm_give_up_epoch(fm_trainer *trainer, bool always)
{
    const fm_net *net = trainer->net;
    const size_t bytes = fm_param_bytes(net);
    const bool finite = net->kernels->all_finite(net->params, net->n_params);
    if (trainer->has_snapshot && (always || !finite)) memcpy(net->params, trainer->snapshot, bytes);
    if (trainer->average && !net->kernels->all_finite(trainer->average, net->n_params))
        memcpy(trainer->average, net->params, bytes);
    for (int i = 0; i < trainer->train.moments; i++)
        if (!net->kernels->all_finite(trainer->moment[i], net->n_params))
            net->kernels->fill(trainer->moment[i], net->n_params,
                               fm_moment_start(&trainer->train, i, trainer->first_rate));
    trainer->epoch = (fm_epoch_state){0};
}
