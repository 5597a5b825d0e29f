/* chunks.c -- rows in chunks of a fixed size, and sums over chunks by a fixed tree */
#include "net/chunks.h"

/* Multiply-adds of a chunk: 20 to 60 ms of one thread for a third of a training step. */
static const double CHUNK_WORK = 1 << 30;
/* Chunks of a batch that goes in one piece. Its weights phase cannot be given up: 0.2 s on two
 * threads of a Zen 4. In chunks, layers of 2,048 took 2.3 times as long (T201). */
static const double WHOLE_CHUNKS = 32;
/* What a unit costs beside its weights: conversion, activation, random numbers. */
enum { UNIT_WORK = 64 };
/* Whole tiles of 14 and 12 rows, whose activations lie in the L2 cache beside the weights. */
enum { PASS_ROWS = 84 };

static _Atomic double limit; /* in place of CHUNK_WORK; 0: none */

void fm_limit_chunks(double work) { atomic_store(&limit, work); }

static double chunk_work(void)
{
    const double set = atomic_load(&limit);
    return set > 0 ? set : CHUNK_WORK;
}

double fm_count_row_work(const fm_net *net)
{
    size_t blocks = 0;
    for (size_t l = 0; l < net->n_layers; l++) blocks += fm_blocks(net, net->layer[l].n_out);
    const double units = (double)UNIT_WORK * (double)(blocks * net->kernels->block);
    return ((double)net->n_params + units) * (double)net->kernels->real_size / sizeof(float);
}

size_t fm_chunk_rows(const fm_net *net)
{
    const size_t rows = (size_t)(chunk_work() / net->row_work) / 2 * 2;
    return rows < 2 ? 2 : rows;
}

size_t fm_whole_rows(const fm_net *net)
{
    const double set = atomic_load(&limit);
    if (set > 0) return fm_chunk_rows(net);
    return (size_t)(WHOLE_CHUNKS * CHUNK_WORK / net->row_work) / 2 * 2;
}

size_t fm_pass_rows(const fm_net *net, size_t rows)
{
    const size_t most = fm_chunk_rows(net), some = most < PASS_ROWS ? most : PASS_ROWS;
    return rows < some ? rows : some;
}

size_t fm_pass_run(const fm_net *net, size_t chunk)
{
    const double run = chunk_work() / (net->row_work * (double)chunk);
    return run < 1 ? 1 : (size_t)run;
}

/* Things of the left branch of the tree over so many, >= 2. */
static size_t left_branch(size_t count)
{
    size_t left = 1;
    while (2 * left < count) left *= 2;
    return left;
}

double fm_tree_sum(const double *x, size_t count)
{
    if (count < 2) return count ? x[0] : 0;
    const size_t left = left_branch(count);
    return fm_tree_sum(x, left) + fm_tree_sum(x + left, count - left);
}

enum { WEIGHT_BLOCK = 4096 }; /* rows */

typedef struct weights {
    const fm_data *data;
    const uint32_t *order;
    fm_poll *poll;
    bool stopped;
} weights;

static double block_weight(const weights *w, size_t first, size_t count)
{
    double sum = 0;
    for (size_t position = first; position < first + count; position++) {
        const size_t row = w->order ? w->order[position] : position;
        sum += w->data->sample_weight[w->data->index ? w->data->index[row] : row];
    }
    return sum;
}

static double tree_weight(weights *w, size_t first, size_t count)
{
    if (w->stopped) return 0;
    if (count <= WEIGHT_BLOCK) {
        w->stopped = w->poll && fm_poll_stops(w->poll, (double)UNIT_WORK * (double)count);
        return block_weight(w, first, count);
    }
    const size_t left = left_branch((count + WEIGHT_BLOCK - 1) / WEIGHT_BLOCK) * WEIGHT_BLOCK;
    const double sum = tree_weight(w, first, left);
    return sum + tree_weight(w, first + left, count - left);
}

double fm_weight_sum(const fm_data *data, const uint32_t *order, size_t first, size_t count,
                     fm_poll *poll, bool *stopped)
{
    weights w = {.data = data, .order = order, .poll = poll};
    const double sum = data->sample_weight ? tree_weight(&w, first, count) : (double)count;
    *stopped = w.stopped;
    return sum;
}
