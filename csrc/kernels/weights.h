/* weights.h -- the weights phase: each tile of weights gets gradient, penalty and optimizer step
 *
 * A layer's tiles are numbered panel by panel, by column blocks of ins. A thread owns a slice of
 * them, so a weight's gradient is summed over the batch by one owner in one order.
 */
#ifndef FM_KERNELS_WEIGHTS_H
#define FM_KERNELS_WEIGHTS_H

#include "kernels/product/gradient.h"
#include "kernels/layer.h"
#include "kernels/product/sparse_gradient.h"
#include "kernels/updates.h"

/* Activations of the ins that all panels work through before the next ones: they stay in L2. Half
 * as many where they are prefetched from a far cache, or they would evict one another. */
enum { GROUP_BYTES = 256 * 1024 };
enum { PREFETCH_ROWS = 64 }; /* rows whose tile takes as long as a line from another core */

/* Sum of the deltas (blocks, rows, BLOCK) over one block of rows: (blocks x BLOCK,). */
static void sum_deltas(real *g, const real *d, size_t d_stride, size_t rows, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++)
        FOR_VECTORS (v, BLOCK) {
            const real *line = d + b * d_stride + v;
            /* an addition waits four cycles for the last one */
            vec sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
            size_t r = 0;
            for (; r + 4 <= rows; r += 4, line += 4 * BLOCK)
                UNROLL_FOR (int i = 0; i < 4; i++) sum[i] += v_load(line + i * BLOCK);
            for (; r < rows; r++, line += BLOCK) sum[0] += v_load(line);
            v_store(g + b * BLOCK + v, (sum[0] + sum[1]) + (sum[2] + sum[3]));
        }
}

/* The gradient of the bias, (blocks x BLOCK,), at most a panel: the sum of all rows' deltas. */
static void gradient_bias(real *g, const real *d, size_t d_stride, size_t rows, size_t blocks)
{
    if (rows <= FM_SUM_ROWS) {
        sum_deltas(g, d, d_stride, rows, blocks);
        return;
    }
    real sums[FM_SUM_LEVELS * PANEL] __attribute__((aligned(64)));
    sum_tree tree = {.sums = sums, .count = blocks * BLOCK};
    for (size_t r = 0; r < rows; r += FM_SUM_ROWS) {
        sum_deltas(next_block(&tree), d + r * BLOCK, d_stride, at_most(FM_SUM_ROWS, rows - r),
                   blocks);
        add_block(&tree);
    }
    finish_tree(&tree);
    memcpy(g, sums, tree.count * sizeof *g);
}

/* sum += g; `rest` keeps what its last digits could not hold for the next addition (Kahan 1965). */
INLINE void add_compensated(real *sum, real *rest, const real *g, size_t count)
{
    FOR_VECTORS (i, count) {
        const vec old = v_load(sum + i), term = v_load(g + i) - v_load(rest + i), new = old + term;
        v_store(rest + i, (new - old) - term);
        v_store(sum + i, new);
    }
}

INLINE void use_gradient(const fm_net *net, const fm_update *u, enum fm_gradient_use use,
                         real *store, real *g, size_t first, size_t count, bool is_bias)
{
    real *params = net->params;
    if (use == FM_GRADIENT_ADD)
        add_compensated(store + first, (real *)u->moment[0] + first, g, count);
    else {
        if (!is_bias && (u->l1 != 0 || u->l2 != 0))
            add_penalty(g, params + first, count, (real)u->l1, (real)u->l2);
        if (use == FM_GRADIENT_STORE)
            memcpy(store + first, g, count * sizeof(real));
        else
            update_run(params, g, first, count, u);
    }
}

/* w - rate g and nothing else */
INLINE bool is_plain_sgd(const fm_update *u)
{
    return u->optimizer == FM_OPTIMIZER_sgd && u->constants.sgd.momentum == 0 && u->l1 == 0 &&
           u->l2 == 0 && !u->average;
}

/* What of a layer is prefetched before its tile's turn. */
typedef struct prefetch_plan {
    bool weights, moments;
    bool far_inputs;   /* the activations exceed a near cache: */
    bool fetch_inputs; /* the first panel of each group prefetches them */
    unsigned distance; /* column blocks from a tile to those whose weights it prefetches */
} prefetch_plan;

INLINE prefetch_plan plan_prefetch(const fm_net *net, const fm_part *part, const fm_update *u,
                                   enum fm_gradient_use use, size_t l)
{
    const size_t bytes = net->n_params * sizeof(real), rows = part->r1;
    size_t moments = 0;
    while (moments < FM_MAX_MOMENTS && u->moment[moments]) moments++;
    const bool far = bytes * (1 + moments) > FM_NEAR_BYTES * (size_t)part->parts;
    const bool read_by_others = part->parts > 1 && l > 1; /* backward */
    const prefetch_plan plan = {
        .weights = use == FM_GRADIENT_UPDATE && (far || read_by_others),
        .moments = use == FM_GRADIENT_UPDATE && moments && far,
        .far_inputs = blocks_of(net->layer[l].n_in) * rows * BLOCK * sizeof(real) > FM_NEAR_BYTES,
        /* a tile of few rows ends before the lines of the next one have come */
        .distance =
            rows < PREFETCH_ROWS ? (unsigned)at_most((PREFETCH_ROWS + rows - 1) / rows, 8) : 1};
    return plan;
}

/* The weights and moments to prefetch, from parameter `first` on. */
INLINE tile_prefetch prefetch_from(const fm_net *net, const fm_update *u, prefetch_plan plan,
                                   size_t first)
{
    tile_prefetch prefetch = {.arrays = 0};
    if (plan.weights)
        prefetch.line[prefetch.arrays++] = (const char *)((const real *)net->params + first);
    for (int m = 0; plan.moments && m < FM_MAX_MOMENTS && u->moment[m]; m++)
        prefetch.line[prefetch.arrays++] = (const char *)((const real *)u->moment[m] + first);
    return prefetch;
}

/* All of them for column block b of ins of a panel, in one go. */
INLINE void prefetch_block(const fm_net *net, const fm_update *u, prefetch_plan plan, size_t panel,
                           size_t width, size_t b, size_t n_in)
{
    const tile_prefetch prefetch = prefetch_from(net, u, plan, panel + b * BLOCK * width);
    const size_t bytes = at_most(BLOCK, n_in - b * BLOCK) * width * sizeof(real);
    for (int i = 0; i < prefetch.arrays; i++)
        for (size_t at = 0; at < bytes; at += 64) prefetch_to_write(prefetch.line[i] + at);
}

/* Column blocks [b0, b1) of ins in panel p of layer l; the first of them brings the bias along. */
static void weights_of_panel(const fm_net *net, const fm_work *work, const fm_part *part,
                             const fm_update *u, enum fm_gradient_use use, void *gradient,
                             prefetch_plan plan, size_t l, size_t p, size_t b0, size_t b1,
                             real *tile)
{
    const fm_layer *layer = &net->layer[l];
    const size_t rows = part->r1, stride = work->rows * BLOCK, width = panel_width(layer->n_out, p);
    const size_t panel = layer->offset + p * (layer->n_in + 1) * PANEL;
    const real *a = work->a[l - 1], *d = (const real *)work->d[l] + p * PANEL_BLOCKS * stride;
    const bool plain = use == FM_GRADIENT_UPDATE && is_plain_sgd(u),
               params = plan.weights || plan.moments;
    const bool spread = params && rows >= PREFETCH_ROWS && (!plain || plan.far_inputs);
    size_t held = b0; /* first column block whose gradient waits for the optimizer */
    tile_prefetch next = {.arrays = 0};
    if (spread) next = prefetch_from(net, u, plan, panel + (b0 + 1) * BLOCK * width);
    for (size_t b = b0; params && b < at_most(b1, b0 + plan.distance); b++)
        prefetch_block(net, u, plan, panel, width, b, layer->n_in);
    for (size_t b = b0; b < b1; b++) {
        const size_t ins = at_most(BLOCK, layer->n_in - b * BLOCK);
        tile_prefetch *prefetch = b + 1 < b1 && (spread || plan.fetch_inputs) ? &next : NULL;
        if (params && !spread && b + plan.distance < b1)
            prefetch_block(net, u, plan, panel, width, b + plan.distance, layer->n_in);
        if (plan.fetch_inputs) next.inputs = a + (b + 1) * stride;
        sum_gradient(width == PANEL, plain, plan.far_inputs,
                     plain ? (real *)net->params + panel + b * BLOCK * width
                           : tile + (b - held) * BLOCK * width,
                     a + b * stride, d, stride, rows, ins, (real)u->learning_rate, prefetch);
        if (plain || (b + 1 - held < FM_HELD_TILES && b + 1 < b1)) continue;
        use_gradient(net, u, use, gradient, tile, panel + held * BLOCK * width,
                     ((b - held) * BLOCK + ins) * width, false);
        held = b + 1;
    }
    if (b0 == 0) {
        gradient_bias(tile, d, stride, rows, width / BLOCK);
        use_gradient(net, u, use, gradient, tile, panel + layer->n_in * width, width, true);
    }
}

/* The same as weights_of_panel with zero skipping. False: too few deltas are 0; nothing is done. */
static bool sparse_weights_of_panel(const fm_net *net, const fm_work *work, const fm_part *part,
                                    const fm_update *u, enum fm_gradient_use use, void *gradient,
                                    prefetch_plan plan, size_t l, size_t p, size_t b0, size_t b1)
{
    const fm_scratch scratch = scratch_of(net, work, part->scratch);
    const fm_layer *layer = &net->layer[l];
    const size_t rows = part->r1, stride = work->rows * BLOCK, width = panel_width(layer->n_out, p);
    const size_t panel = layer->offset + p * (layer->n_in + 1) * PANEL;
    const real *a = work->a[l - 1], *d = (const real *)work->d[l] + p * PANEL_BLOCKS * stride;
    if (!find_active_panel(scratch.active, d, stride, rows, width)) return false;
    const bool has_bias = b0 == 0;
    const size_t tile = sparse_tile(layer->n_in);
    for (size_t blocks; b0 < b1; b0 += blocks) {
        blocks = at_most(tile - b0 % tile, b1 - b0);
        const tile_prefetch from = prefetch_from(net, u, plan, panel + b0 * BLOCK * width);
        sparse_prefetch prefetch = {.arrays = from.arrays,
                                    .lines = from.arrays ? blocks * width : 0};
        memcpy(prefetch.line, from.line, sizeof prefetch.line);
        sparse_gradient(scratch.row_sums, scratch.active, width, d, a + b0 * stride, stride, rows,
                        blocks, plan.fetch_inputs, &prefetch);
        for (size_t held = 0; held < blocks; held += FM_HELD_TILES) {
            const size_t tiles = at_most(FM_HELD_TILES, blocks - held), first = (b0 + held) * BLOCK;
            for (size_t t = 0; t < tiles; t++)
                turn_gradient(scratch.tile + t * BLOCK * width,
                              scratch.row_sums + (held + t) * BLOCK, width);
            use_gradient(net, u, use, gradient, scratch.tile, panel + first * width,
                         at_most(tiles * BLOCK, layer->n_in - first) * width, false);
        }
    }
    if (has_bias) {
        gradient_bias(scratch.tile, d, stride, rows, width / BLOCK);
        use_gradient(net, u, use, gradient, scratch.tile, panel + layer->n_in * width, width, true);
    }
    return true;
}

/* Plain SGD of tiles [lo, hi) of layer l where nothing is prefetched: no tile waits for another. */
static void descend_near(const fm_net *net, const fm_work *work, size_t rows, real rate, size_t l,
                         size_t lo, size_t hi)
{
    const fm_layer *layer = &net->layer[l];
    const size_t ins = blocks_of(layer->n_in), stride = work->rows * BLOCK;
    for (size_t p = lo / ins; p * ins < hi; p++) {
        const size_t width = panel_width(layer->n_out, p);
        const size_t b0 = p * ins < lo ? lo - p * ins : 0, b1 = at_most(hi - p * ins, ins);
        real *panel = (real *)net->params + layer->offset + p * (layer->n_in + 1) * PANEL;
        const real *a = work->a[l - 1], *d = (const real *)work->d[l] + p * PANEL_BLOCKS * stride;
        for (size_t b = b0; b < b1; b++)
            sum_gradient(width == PANEL, true, false, panel + b * BLOCK * width, a + b * stride, d,
                         stride, rows, at_most(BLOCK, layer->n_in - b * BLOCK), rate, NULL);
        if (b0 > 0) continue;
        real g[PANEL] __attribute__((aligned(64))), *bias = panel + layer->n_in * width;
        gradient_bias(g, d, stride, rows, width / BLOCK);
        for (size_t v = 0; v < width; v += LANES)
            v_store(bias + v, v_load(bias + v) - rate * v_load(g + v));
    }
}

/* Column blocks of ins of a layer that all panels work through before the next ones. */
static size_t group_of_ins(const fm_layer *layer, size_t rows, bool far, bool sparse)
{
    const size_t ins = blocks_of(layer->n_in), bytes = rows * BLOCK * sizeof(real);
    const size_t most = far ? GROUP_BYTES / 2 : GROUP_BYTES, some = most / bytes + 1,
                 tile = sparse_tile(layer->n_in);
    if (ins * bytes <= most) return ins;
    if (!sparse) return some;
    return some < tile ? tile : some / tile * tile;
}

static void weights(const fm_net *net, const fm_work *work, const fm_part *part, const fm_update *u,
                    enum fm_gradient_use use, void *gradient)
{
    real *tile = scratch_of(net, work, part->scratch).tile;
    const size_t rows = part->r1;
    for (size_t l = 1; l < net->n_layers; l++) {
        const size_t ins = blocks_of(net->layer[l].n_in), panels = panels_of(net->layer[l].n_out),
                     tiles = ins * panels;
        const prefetch_plan plan = plan_prefetch(net, part, u, use, l);
        const bool sparse = part->sparse && fm_gradient_may_be_sparse(net, l, rows);
        const size_t group = group_of_ins(&net->layer[l], rows, plan.far_inputs, sparse),
                     groups = (ins + group - 1) / group;
        const int slices = slices_to_visit(part, panels * groups, rows * group * BLOCK * PANEL);
        const bool near = use == FM_GRADIENT_UPDATE && is_plain_sgd(u) && !plan.weights &&
                          !plan.far_inputs && !sparse;
        for (int turn = 0; turn < slices; turn++) {
            const int owner = owner_at(part, turn);
            const size_t lo = fm_slice(tiles, owner, part->parts),
                         hi = fm_slice(tiles, owner + 1, part->parts);
            if (lo == hi) continue;
            if (near && slices == 1) {
                descend_near(net, work, rows, (real)u->learning_rate, l, lo, hi);
                continue;
            }
            /* chunks: a group of ins for one panel after the other */
            const size_t first = lo / ins, count = (hi - 1) / ins - first + 1,
                         phase = fm_phase(net, FM_PHASE_WEIGHTS, l);
            for (size_t next = 0, k;
                 (k = claim_chunk(part, slices, owner, phase, next++)) < count * groups;) {
                const size_t p = first + k % count, g = k / count * group;
                size_t b0 = p * ins < lo ? lo - p * ins : 0,
                       b1 = hi - p * ins < ins ? hi - p * ins : ins;
                if (b0 < g) b0 = g;
                if (b1 > g + group) b1 = g + group;
                if (b0 >= b1) continue;
                prefetch_plan now = plan;
                now.fetch_inputs =
                    plan.far_inputs && (p == first || (p == first + 1 && first * ins + g < lo));
                if (sparse &&
                    sparse_weights_of_panel(net, work, part, u, use, gradient, now, l, p, b0, b1))
                    continue;
                weights_of_panel(net, work, part, u, use, gradient, now, l, p, b0, b1, tile);
            }
        }
    }
}

#endif
