/* update.c -- from a stored gradient to the parameters: norm, clipping, optimizer, max_norm */
#include "train/update.h"

#include "train/norm.h"
#include "train/trainer.h"

#include <math.h>

size_t fm_norm_chunks(const fm_net *net)
{
    return (net->n_params + FM_NORM_CHUNK - 1) / FM_NORM_CHUNK;
}

static fm_span norm_chunk(const fm_net *net, size_t c)
{
    const size_t first = c * FM_NORM_CHUNK, rest = net->n_params - first;
    return (fm_span){first, rest < FM_NORM_CHUNK ? rest : FM_NORM_CHUNK};
}

/* Its squares; every thread gets the same sum. */
static fm_squares gradient_squares(fm_trainer *trainer, int thread, int threads)
{
    const fm_net *net = trainer->net;
    const size_t chunks = fm_norm_chunks(net), end = fm_slice(chunks, thread + 1, threads);
    for (size_t c = fm_slice(chunks, thread, threads); c < end; c++) {
        const fm_span s = norm_chunk(net, c);
        trainer->norm_parts[c] =
            net->kernels->sum_squares(fm_element(net, trainer->gradient, s.first), s.count);
    }
    fm_barrier_wait(&trainer->barrier, threads);
    return fm_add_squares(trainer->norm_parts, chunks);
}

double fm_update_stored(fm_trainer *trainer, const fm_update *update, int thread, int threads)
{
    const fm_net *net = trainer->net;
    const fm_kernels *k = net->kernels;
    const double clip = trainer->train.clip_norm;
    fm_squares squares = {0};
    if (trainer->norm_parts) squares = gradient_squares(trainer, thread, threads);
    const double factor = fm_clip_factor(squares, clip);
    const bool clips = clip > 0 && ldexp(factor, -squares.exponent) < 1;
    const size_t chunks = fm_norm_chunks(net), end = fm_slice(chunks, thread + 1, threads);
    for (size_t c = fm_slice(chunks, thread, threads); c < end; c++) {
        const fm_span s = norm_chunk(net, c);
        if (clips)
            k->scale(fm_element(net, trainer->gradient, s.first), s.count, factor,
                     squares.exponent);
        k->update(net->params, trainer->gradient, s.first, s.count, update);
    }
    return fm_norm(squares);
}

void fm_limit_weights(fm_trainer *trainer, const fm_update *update, int thread, int threads)
{
    const fm_net *net = trainer->net;
    size_t panels = 0;
    for (size_t l = 1; l < net->n_layers; l++) panels += fm_panels(net, net->layer[l].n_out);
    fm_barrier_wait(&trainer->barrier, threads);
    net->kernels->max_norm(net, trainer->train.max_norm, fm_slice(panels, thread, threads),
                           fm_slice(panels, thread + 1, threads));
    if (!trainer->average) return;
    fm_barrier_wait(&trainer->barrier, threads);
    const fm_span s = fm_span_of_params(net, thread, threads);
    net->kernels->average(trainer->average, net->params, s.first, s.count, update->ema);
}
