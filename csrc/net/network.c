/* network.c -- layers and parameters of a network, and the workspace that a pass writes */
#include "net/network.h"

#include "net/chunks.h"

#include <string.h>

/* *total += a b, false where that leaves size_t */
static bool add_product(size_t *total, size_t a, size_t b)
{
    size_t product;
    return !__builtin_mul_overflow(a, b, &product) &&
           !__builtin_add_overflow(*total, product, total);
}

fm_status fm_net_create(fm_net **made, const fm_net_config *config)
{
    const size_t layers = config->n_layers;
    if (layers < 2 || !config->kernels || config->loss < 0 || config->loss >= FM_LOSSES)
        return FM_BAD_CONFIG;
    fm_net *net = fm_allocate(sizeof *net + layers * sizeof *net->layer);
    if (!net) return FM_OUT_OF_MEMORY;
    net->kernels = config->kernels;
    net->n_layers = layers;
    net->loss = config->loss;
    net->loss_parameter = config->loss_parameter;
    fm_status status = FM_OK;
    for (size_t l = 0; l < layers && status == FM_OK; l++) {
        const size_t n = config->sizes[l], padded = n + net->kernels->block;
        const int activation = config->activations[l];
        if (n == 0 || (l && (activation < 0 || activation >= FM_ACTIVATIONS)))
            status = FM_BAD_CONFIG;
        if (l && l < layers - 1 && activation == FM_ACTIVATION_softmax) status = FM_BAD_CONFIG;
        if (padded < n) status = FM_TOO_LARGE;
        net->layer[l] = (fm_layer){.n_in = l ? config->sizes[l - 1] : 0,
                                   .n_out = n,
                                   .offset = net->n_params,
                                   .activation = activation,
                                   .alpha = config->alphas[l],
                                   .dropout = l < layers - 1 ? config->dropout[l] : 0};
        if (l && !add_product(&net->n_params, net->layer[l].n_in + 1,
                              fm_blocks(net, n) * net->kernels->block))
            status = FM_TOO_LARGE;
    }
    net->row_work = fm_count_row_work(net);
    size_t bytes = 0;
    if (status == FM_OK && !add_product(&bytes, net->n_params, net->kernels->real_size))
        status = FM_TOO_LARGE;
    if (status == FM_OK && !(net->params = fm_allocate(bytes))) status = FM_OUT_OF_MEMORY;
    if (status != FM_OK) {
        fm_net_free(net);
        return status;
    }
    *made = net;
    return FM_OK;
}

void fm_net_free(fm_net *net)
{
    if (!net) return;
    fm_work_free(net->standing);
    fm_release(net->params);
    fm_release(net);
}

const fm_kernels *fm_net_kernels(const fm_net *net) { return net->kernels; }
size_t fm_net_param_count(const fm_net *net) { return net->n_params; }
void *fm_net_params(fm_net *net) { return net->params; }

void fm_layer_set(const fm_net *net, size_t l, void *panels, const void *weights, const void *bias)
{
    net->kernels->pack(&net->layer[l], panels, weights, bias);
}

void fm_layer_get(const fm_net *net, size_t l, const void *panels, void *weights, void *bias)
{
    net->kernels->unpack(&net->layer[l], panels, weights, bias);
}

/* Lays arrays over one allocation: run without a base to find its size, with it to place them. */
typedef struct layout {
    unsigned char *base;
    size_t used;
    bool overflow;
} layout;

static void *place(layout *at, size_t count, size_t size)
{
    size_t start = at->used;
    if (!add_product(&at->used, count, size) || __builtin_add_overflow(at->used, 63, &at->used))
        at->overflow = true;
    at->used &= ~(size_t)63;
    return at->base ? at->base + start : NULL;
}

static void lay_out(fm_work *work, const fm_net *net, fm_work_kind kind, layout *at)
{
    const size_t real = net->kernels->real_size, block = net->kernels->block,
                 panel = net->kernels->panel;
    const size_t last = net->n_layers - 1, outputs = fm_blocks(net, net->layer[last].n_out) * block;
    /* products of units, of rows, that may skip zeros */
    bool sparse_units = false, sparse_rows = false;
    work->a = place(at, net->n_layers, sizeof *work->a);
    work->d = place(at, net->n_layers, sizeof *work->d);
    work->active = place(at, net->n_layers, sizeof *work->active);
    for (size_t l = 0; l <= last; l++) {
        size_t columns = fm_blocks(net, net->layer[l].n_out) * block;
        void *a = place(at, work->rows, columns * real);
        void *d = (l && kind != FM_WORK_FORWARD) || kind == FM_WORK_INPUT
                      ? place(at, work->rows, columns * real)
                      : NULL;
        const bool bits = kind == FM_WORK_TRAIN && fm_keeps_bits(net, l, work->rows);
        void *active = bits ? place(at, work->rows, columns / block * sizeof(uint16_t)) : NULL;
        sparse_units |= kind == FM_WORK_TRAIN && fm_gradient_may_be_sparse(net, l, work->rows);
        sparse_rows |= bits;
        if (at->base) {
            work->a[l] = a;
            work->d[l] = d;
            work->active[l] = active;
        }
        if (columns > work->widest) work->widest = columns;
    }
    if (kind != FM_WORK_FORWARD) {
        work->targets = place(at, work->rows, outputs * real);
        work->labels = place(at, work->rows, real);
        work->row_loss = place(at, work->rows, 3 * real);
        work->row_weight = place(at, work->rows, real);
    }
    /* the parts of fm_scratch in kernels/scratch.h */
    layout one = {0};
    place(&one, 2 * fm_blocks(net, net->layer[0].n_out) * block, real);
    if (kind != FM_WORK_FORWARD) {
        place(&one, (FM_HELD_TILES * block + 1) * panel, real);
        place(&one, work->widest, panel * real);
        size_t sums = 0; /* of the layer that needs most, before the rows are divided */
        for (size_t l = 1; l <= last; l++) {
            size_t rows = net->kernels->backward_sums(work->rows, net->layer[l].n_out);
            size_t columns = fm_blocks(net, net->layer[l].n_in) * block;
            if (rows * columns > sums) sums = rows * columns;
        }
        place(&one, sums, real);
        work->sparse_offset = one.used;
        if (sparse_units || sparse_rows)
            place(&one, 1, net->kernels->sparse_scratch(work->rows, sparse_rows));
    }
    at->overflow |= one.overflow;
    work->scratch_bytes = one.used;
    work->scratch = place(at, work->threads, one.used);
}

fm_status fm_work_create(fm_work **made, const fm_net *net, size_t rows, size_t threads,
                         fm_work_kind kind)
{
    fm_work *work = fm_allocate(sizeof *work);
    if (!work) return FM_OUT_OF_MEMORY;
    /* an odd number of rows keeps column blocks from starting in the same sets of the cache */
    work->rows = rows | 1;
    work->threads = threads;
    layout at = {0};
    lay_out(work, net, kind, &at);
    fm_status status = at.overflow ? FM_TOO_LARGE : FM_OK;
    if (status == FM_OK && !(work->arena = fm_allocate(at.used))) status = FM_OUT_OF_MEMORY;
    if (status != FM_OK) {
        fm_release(work);
        return status;
    }
    at = (layout){.base = work->arena};
    lay_out(work, net, kind, &at);
    *made = work;
    return FM_OK;
}

size_t fm_input_bytes(const fm_net *net, size_t rows)
{
    return rows * fm_blocks(net, net->layer[0].n_out) * net->kernels->block *
           net->kernels->real_size;
}

fm_status fm_work_double_inputs(fm_work *work, const fm_net *net)
{
    fm_work *other = fm_allocate(sizeof *other);
    if (!other) return FM_OUT_OF_MEMORY;
    *other = *work;
    const size_t bytes = fm_input_bytes(net, work->rows);
    if (!(other->arena = fm_allocate(bytes + net->n_layers * sizeof *other->a))) {
        fm_release(other);
        return FM_OUT_OF_MEMORY;
    }
    other->a = (void **)(void *)((unsigned char *)other->arena + bytes);
    memcpy(other->a, work->a, net->n_layers * sizeof *other->a);
    other->a[0] = other->arena;
    other->other = work;
    work->other = other;
    return FM_OK;
}

void fm_work_free(fm_work *work)
{
    if (!work) return;
    if (work->other) {
        fm_release(work->other->arena);
        fm_release(work->other);
    }
    fm_release(work->arena);
    fm_release(work);
}
