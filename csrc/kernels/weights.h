/* weights.h -- the weights phase: every tile of weights gets its gradient, its penalty and its optimizer step
 *
 * The tiles of a layer stand in one line: panel by panel, one column block of ins after the other. A thread owns a run
 * of them, so a weight is summed over all rows of the batch by one owner in one order.
 */
#ifndef FM_KERNELS_WEIGHTS_H
#define FM_KERNELS_WEIGHTS_H

#include "kernels/product/gradient.h"
#include "kernels/layer.h"
#include "kernels/product/sparse_gradient.h"
#include "kernels/updates.h"

/* Ins that are worked through for all panels before the next ones: their activations stay in the L2 cache. Where those
 * of the layer come from a far cache, half as many: they are asked for as well, and more would push one another out. */
enum { GROUP_BYTES = 256 * 1024 };
enum { ASK_ROWS = 64 }; /* rows whose tile takes as long as a line from another core */

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

/* The gradient of the bias, (blocks x BLOCK,) for at most a panel: the sum of the deltas over all rows. */
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

/* What of a layer is asked for before its tile's turn. */
typedef struct asking {
    bool weights, moments;
    bool far_inputs;   /* the activations exceed a near cache: */
    bool fetch_inputs; /* they are asked for by the first panel of each group */
    unsigned early;    /* weights and moments of so many column blocks */
} asking;

INLINE asking what_to_ask(const fm_net *net, const fm_part *part, const fm_update *u,
                          enum fm_gradient_use use, size_t l)
{
    const size_t bytes = net->n_params * sizeof(real), rows = part->r1;
    size_t moments = 0;
    while (moments < FM_MAX_MOMENTS && u->moment[moments]) moments++;
    const bool far = bytes * (1 + moments) > FM_NEAR_BYTES * (size_t)part->parts;
    const bool read_by_others = part->parts > 1 && l > 1; /* backward */
    const asking ask = {
        .weights = use == FM_GRADIENT_UPDATE && (far || read_by_others),
        .moments = use == FM_GRADIENT_UPDATE && moments && far,
        .far_inputs = blocks_of(net->layer[l].n_in) * rows * BLOCK * sizeof(real) > FM_NEAR_BYTES,
        /* their tiles take longer than a line takes to come: a tile's time grows with the rows */
        .early = rows < ASK_ROWS ? (unsigned)at_most((ASK_ROWS + rows - 1) / rows, 8) : 1};
    return ask;
}

/* Those of the weights and moments that are to be asked for, from parameter `first` on. */
INLINE tile_asks asks_from(const fm_net *net, const fm_update *u, asking ask, size_t first)
{
    tile_asks asks = {.arrays = 0};
    if (ask.weights) asks.line[asks.arrays++] = (const char *)((const real *)net->params + first);
    for (int m = 0; ask.moments && m < FM_MAX_MOMENTS && u->moment[m]; m++)
        asks.line[asks.arrays++] = (const char *)((const real *)u->moment[m] + first);
    return asks;
}

/* All of them for column block b of ins of a panel, in one go. */
INLINE void ask_for_block(const fm_net *net, const fm_update *u, asking ask, size_t panel,
                          size_t width, size_t b, size_t n_in)
{
    const tile_asks asks = asks_from(net, u, ask, panel + b * BLOCK * width);
    const size_t bytes = at_most(BLOCK, n_in - b * BLOCK) * width * sizeof(real);
    for (int i = 0; i < asks.arrays; i++)
        for (size_t at = 0; at < bytes; at += 64) prefetch_to_write(asks.line[i] + at);
}

/* Column blocks [b0, b1) of ins in panel p of layer l; the first of them brings the bias along. */
static void weights_of_panel(const fm_net *net, const fm_work *work, const fm_part *part,
                             const fm_update *u, enum fm_gradient_use use, void *gradient,
                             asking ask, size_t l, size_t p, size_t b0, size_t b1, real *tile)
{
    const fm_layer *layer = &net->layer[l];
    const size_t rows = part->r1, stride = work->rows * BLOCK, width = panel_width(layer->n_out, p);
    const size_t panel = layer->offset + p * (layer->n_in + 1) * PANEL;
    const real *a = work->a[l - 1], *d = (const real *)work->d[l] + p * PANEL_BLOCKS * stride;
    const bool plain = use == FM_GRADIENT_UPDATE && is_plain_sgd(u),
               params = ask.weights || ask.moments;
    const bool spread = params && rows >= ASK_ROWS && (!plain || ask.far_inputs);
    size_t held = b0; /* first column block whose gradient waits for the optimizer */
    tile_asks next = {.arrays = 0};
    if (spread) next = asks_from(net, u, ask, panel + (b0 + 1) * BLOCK * width);
    for (size_t b = b0; params && b < at_most(b1, b0 + ask.early); b++)
        ask_for_block(net, u, ask, panel, width, b, layer->n_in);
    for (size_t b = b0; b < b1; b++) {
        const size_t ins = at_most(BLOCK, layer->n_in - b * BLOCK);
        tile_asks *asks = b + 1 < b1 && (spread || ask.fetch_inputs) ? &next : NULL;
        if (params && !spread && b + ask.early < b1)
            ask_for_block(net, u, ask, panel, width, b + ask.early, layer->n_in);
        if (ask.fetch_inputs) next.inputs = a + (b + 1) * stride;
        sum_gradient(width == PANEL, plain, ask.far_inputs,
                     plain ? (real *)net->params + panel + b * BLOCK * width
                           : tile + (b - held) * BLOCK * width,
                     a + b * stride, d, stride, rows, ins, (real)u->learning_rate, asks);
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

/* The same as weights_of_panel where many deltas are 0. False: too few are; nothing is done. */
static bool sparse_weights_of_panel(const fm_net *net, const fm_work *work, const fm_part *part,
                                    const fm_update *u, enum fm_gradient_use use, void *gradient,
                                    asking ask, size_t l, size_t p, size_t b0, size_t b1)
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
        const tile_asks from = asks_from(net, u, ask, panel + b0 * BLOCK * width);
        sparse_asks asks = {.arrays = from.arrays, .lines = from.arrays ? blocks * width : 0};
        memcpy(asks.line, from.line, sizeof asks.line);
        sparse_gradient(scratch.row_sums, scratch.active, width, d, a + b0 * stride, stride, rows,
                        blocks, ask.fetch_inputs, &asks);
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

/* Plain SGD of tiles [lo, hi) of layer l, of which nothing need be asked for: no tile waits for another. */
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

/* Column blocks of ins of layer l that are worked through for all panels before the next ones. */
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
        const asking ask = what_to_ask(net, part, u, use, l);
        const bool sparse = part->sparse && fm_gradient_may_be_sparse(net, l, rows);
        const size_t group = group_of_ins(&net->layer[l], rows, ask.far_inputs, sparse),
                     groups = (ins + group - 1) / group;
        const int shares = shares_to_take(part, panels * groups, rows * group * BLOCK * PANEL);
        const bool near = use == FM_GRADIENT_UPDATE && is_plain_sgd(u) && !ask.weights &&
                          !ask.far_inputs && !sparse;
        for (int turn = 0; turn < shares; turn++) {
            const int owner = owner_at(part, turn);
            const size_t lo = fm_slice(tiles, owner, part->parts),
                         hi = fm_slice(tiles, owner + 1, part->parts);
            if (lo == hi) continue;
            if (near && shares == 1) {
                descend_near(net, work, rows, (real)u->learning_rate, l, lo, hi);
                continue;
            }
            /* pieces: a group of ins for one panel after the other */
            const size_t first = lo / ins, count = (hi - 1) / ins - first + 1,
                         phase = fm_phase(net, FM_PHASE_WEIGHTS, l);
            for (size_t next = 0, k;
                 (k = take_piece(part, shares, owner, phase, next++)) < count * groups;) {
                const size_t p = first + k % count, g = k / count * group;
                size_t b0 = p * ins < lo ? lo - p * ins : 0,
                       b1 = hi - p * ins < ins ? hi - p * ins : ins;
                if (b0 < g) b0 = g;
                if (b1 > g + group) b1 = g + group;
                if (b0 >= b1) continue;
                asking now = ask;
                now.fetch_inputs =
                    ask.far_inputs && (p == first || (p == first + 1 && first * ins + g < lo));
                if (sparse &&
                    sparse_weights_of_panel(net, work, part, u, use, gradient, now, l, p, b0, b1))
                    continue;
                weights_of_panel(net, work, part, u, use, gradient, now, l, p, b0, b1, tile);
            }
        }
    }
}

static void update(void *params, const void *gradient, size_t first, size_t count,
                   const fm_update *u)
{
    update_run(params, (const real *)gradient + first, first, count, u);
}

/* The weights w (n_in, width) of a vector of units within the norm `limit`, if their squares may leave the
 * range; `plain` units, whose do not, are left alone. */
static NOINLINE void limit_scaled(real *w, size_t width, size_t n_in, real limit, vbits plain)
{
    vec largest = v_zero(), square = v_zero();
    for (size_t i = 0; i < n_in; i++) largest = v_max(largest, v_abs(v_load(w + i * width)));
    for (size_t i = 0; i < n_in; i++) {
        vec part = v_load(w + i * width) / largest;
        square += part * part;
    }
    const vec root = v_sqrt(square), scaled_limit = limit / root;
    const vbits within = plain | ~(root > limit / largest); /* not a number, or infinite, too */
    for (size_t i = 0; i < n_in; i++) {
        vec x = v_load(w + i * width);
        v_store(w + i * width, v_select(within, x, x / largest * scaled_limit));
    }
}

/* The same for a vector of units whose weights may be any. */
INLINE void limit_units(real *w, size_t width, size_t n_in, real limit)
{
    const real least =
        FM_DOUBLE ? (real)0x1p-450 : (real)0x1p-40; /* whose square keeps its digits */
    vec square = v_zero();
    for (size_t i = 0; i < n_in; i++) {
        vec x = v_load(w + i * width);
        square += x * x;
    }
    const vec norm = v_sqrt(square);
    const vbits plain = (square <= REAL_LARGEST) & (v_splat(limit) >= least);
    if (!v_all(plain)) limit_scaled(w, width, n_in, limit, plain);
    const vec factor = v_select(plain & (norm > limit), limit / norm, v_splat(1));
    for (size_t i = 0; i < n_in; i++) v_store(w + i * width, v_load(w + i * width) * factor);
}

/* Units of panels [p0, p1), counted over all layers, whose weights have a norm beyond the limit are scaled
 * to it. */
static void max_norm(const fm_net *net, double limit, size_t p0, size_t p1)
{
    size_t before = 0;
    for (size_t l = 1; l < net->n_layers; l++) {
        const fm_layer *layer = &net->layer[l];
        for (size_t p = 0; p < panels_of(layer->n_out); p++, before++) {
            if (before < p0 || before >= p1) continue;
            const size_t width = panel_width(layer->n_out, p);
            real *panel = (real *)net->params + layer->offset + p * (layer->n_in + 1) * PANEL;
            FOR_VECTORS (v, width) limit_units(panel + v, width, layer->n_in, (real)limit);
        }
    }
}

/* The sum in which the largest number is scaled to 1, or nearly. */
static NOINLINE fm_squares sum_scaled_squares(const real *x, size_t count)
{
    enum {
        MOST = FM_DOUBLE ? 1000 : 100
    }; /* a power of two that is a number in either precision */
    double largest = 0, sum = 0;
    int exponent = 0;
    for (size_t i = 0; i < count; i++) {
        const double size = __builtin_fabs((double)x[i]);
        if (size > largest) largest = size;
    }
    if (largest > 0 && largest <= (double)REAL_LARGEST) __builtin_frexp(largest, &exponent);
    if (exponent > MOST) exponent = MOST;
    const double scale = __builtin_ldexp(1, -exponent);
    for (size_t i = 0; i < count; i++) sum += (double)x[i] * scale * ((double)x[i] * scale);
    return (fm_squares){sum, exponent};
}

static fm_squares sum_squares(const void *values, size_t count)
{
    const double least =
        FM_DOUBLE ? 0x1p-900 : 0x1p-60; /* beside it, what underflows does not count */
    const real *x = values;
    double sum = 0;
    for (size_t i = 0; i < count; i += BLOCK) {
        vec square = v_zero();
        for (size_t v = i; v < i + BLOCK; v += LANES) square += v_load(x + v) * v_load(x + v);
        sum += (double)v_sum(square);
    }
    if (sum >= least && sum <= __DBL_MAX__) return (fm_squares){sum, 0};
    return sum_scaled_squares(x, count);
}

/* to += from */
static void add(void *to, const void *from, size_t count)
{
    FOR_VECTORS (i, count)
        v_store((real *)to + i, v_load((real *)to + i) + v_load((const real *)from + i));
}

/* values 2^-exponent factor */
static void scale(void *values, size_t count, double factor, int exponent)
{
    real *x = values;
    const real power = (real)__builtin_ldexp(1, -exponent);
    if (power != 1)
        FOR_VECTORS (i, count) v_store(x + i, v_load(x + i) * power);
    FOR_VECTORS (i, count) v_store(x + i, v_load(x + i) * (real)factor);
}

static void fill(void *values, size_t count, double value)
{
    for (size_t i = 0; i < count; i += LANES) v_store((real *)values + i, v_splat((real)value));
}

static void average(void *averages, const void *params, size_t first, size_t count, double decay)
{
    update_average((real *)averages + first, (const real *)params + first, count, (real)decay);
}

static bool all_finite(const void *values, size_t count)
{
    vec bad = v_zero();
    for (size_t i = 0; i < count; i += LANES) bad += v_load((const real *)values + i) * 0;
    return v_sum(bad) == 0;
}

/* Sum of values (count,), each times its weight where there are weights, in a fixed order */
static double total(const void *values, const void *row_weights, size_t count)
{
    const real *x = values, *w = row_weights;
    double sum[4] = {0, 0, 0, 0};
    size_t i = 0;
    for (; !w && i + 4 <= count; i += 4)
        UNROLL_FOR (size_t j = 0; j < 4; j++) sum[j] += (double)x[i + j];
    for (; i < count; i++) sum[i % 4] += (double)x[i] * (w ? (double)w[i] : 1.0);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

#endif
