/* sparse_rows.h -- the products of the forward and the backward pass with zero skipping
 *
 * A row of the batch has a row of sums, SPARSE_COLUMNS units wide; pairs are rows 2 i and 2 i + 1.
 * Lines are weights of SPARSE_STEPS units, copied or transposed out of their panels for all rows of
 * a group.
 */
#ifndef FM_KERNELS_SPARSE_ROWS_H
#define FM_KERNELS_SPARSE_ROWS_H

#include "kernels/scratch.h"

/* Notes for rows [r0, r1) which units of column blocks [first, last) of layer l have a value or
 * a slope. */
static void note_active(const fm_work *work, size_t l, size_t first, size_t last, size_t r0,
                        size_t r1)
{
    for (size_t b = first; b < last; b++)
        for (size_t r = r0; r < r1; r++) {
            const size_t at = b * work->rows + r;
            const real *a = (const real *)work->a[l] + at * BLOCK,
                       *slope = (const real *)work->d[l] + at * BLOCK;
            unsigned bits = 0;
            UNROLL_FOR (int v = 0; v < BLOCK; v += LANES)
                bits |= (v_active(v_load(a + v)) | v_active(v_load(slope + v))) << v;
            work->active[l][at] = (uint16_t)bits;
        }
}

/* Has layer l zeros enough for its products with weights to or from `width` units? By a sample
 * that is the same for all threads, as the order of the sums depends on it. */
static bool is_sparse(const fm_net *net, const fm_work *work, const fm_part *part, size_t l,
                      size_t width)
{
    enum { SAMPLES = 128 };
    if (!part->sparse || !fm_keeps_bits(net, l, part->r1) || width < FM_SPARSE_WIDTH) return false;
    const size_t blocks = blocks_of(net->layer[l].n_out);
    size_t set = 0;
    for (size_t i = 0; i < SAMPLES;
         i++) { /* 7: rows side by side may be alike, in the user's order */
        const size_t at = i * blocks / SAMPLES * work->rows + 7 * i % part->r1;
        set += (size_t)__builtin_popcount(work->active[l][at]);
    }
    return set * 100 <= (size_t)SAMPLES * BLOCK * SPARSE_PERCENT;
}

/* The factor of a product that has the zeros: values or deltas of a layer. */
typedef struct sparse_layer {
    const real *value;      /* (blocks, rows, BLOCK) */
    const uint16_t *active; /* (blocks, rows) */
    size_t rows, count;     /* capacity; those of the batch */
    size_t columns;
} sparse_layer;

/* The word of row r for columns [step, step + SPARSE_STEPS). */
INLINE uint64_t active_columns(const sparse_layer *x, size_t step, size_t r)
{
    const size_t columns = x->columns - step;
    uint64_t word = 0;
    for (size_t i = 0; i < at_most(columns, SPARSE_STEPS); i += BLOCK)
        word |= (uint64_t)x->active[(step + i) / BLOCK * x->rows + r] << i;
    if (columns >= SPARSE_STEPS) return word;
    return word & (((uint64_t)1 << columns) - 1); /* padding need not be 0 */
}

/* sums (rows from r0 on, SPARSE_COLUMNS) += x times lines for rows [r0, r1), r0 even, and the
 * lines' columns, which begin at `step`; or start + that. */
INLINE void sparse_rows_tile(const int BLOCKS, real *sums, const sparse_layer *x, size_t step,
                             const real *lines, const real *start, size_t r0, size_t r1)
{
    enum { MOST = FM_SPARSE_BLOCKS * BLOCK_VECS, EARLY = 8 /* rows */ };
    const int vecs = BLOCKS * BLOCK_VECS;
    sparse_factors f = {x->value + step * x->rows + r0 * BLOCK, lines, x->rows * BLOCK};
    for (size_t r = r0; r < r1; r += 2, sums += 2 * SPARSE_COLUMNS, f.scalar += 2 * BLOCK) {
        for (size_t i = 0; i < SPARSE_STEPS; i += BLOCK)
            for (size_t next = EARLY; next < EARLY + 2; next++)
                __builtin_prefetch(f.scalar + i * x->rows + next * BLOCK, 0, 3);
        const uint64_t active[2] = {active_columns(x, step, r),
                                    r + 1 < x->count ? active_columns(x, step, r + 1) : 0};
        real *next = sums + SPARSE_COLUMNS;
        vec one[MOST], other[MOST], *const sum[2] = {one, other};
        if (start)
            UNROLL_FOR (int v = 0; v < vecs; v++) one[v] = other[v] = v_load(start + v * LANES);
        else
            UNROLL_FOR (int v = 0; v < vecs; v++)
                one[v] = v_load(sums + v * LANES), other[v] = v_load(next + v * LANES);
        sum_pair(OF_ROWS, BLOCKS, sum, active, &f);
        UNROLL_FOR (int v = 0; v < vecs; v++)
            v_store(sums + v * LANES, one[v]), v_store(next + v * LANES, other[v]);
    }
}

#define SPARSE_ROWS_CASE(BLOCKS, _) \
    case BLOCKS: sparse_rows_tile(BLOCKS, sums, x, step, lines, start, r0, r1); break;
static void sparse_rows(size_t blocks, real *sums, const sparse_layer *x, size_t step,
                        const real *lines, const real *start, size_t r0, size_t r1)
{
    switch (blocks) {
        FM_CASES(FM_SPARSE_BLOCKS, SPARSE_ROWS_CASE, 0)
    }
}

/* to (steps, blocks x BLOCK) = rows from `step` on of a layer's panels, column blocks from
 * `first` on. */
static void copy_lines(real *to, const fm_layer *layer, const real *params, size_t step,
                       size_t steps, size_t first, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++) {
        const size_t unit = (first + b) * BLOCK, p = unit / PANEL,
                     width = panel_width(layer->n_out, p);
        const real *from =
            params + layer->offset + p * (layer->n_in + 1) * PANEL + step * width + unit % PANEL;
        for (size_t k = 0; k < steps; k++)
            UNROLL_FOR (int v = 0; v < BLOCK; v += LANES)
                v_store(to + (k * blocks + b) * BLOCK + v, v_load(from + k * width + v));
    }
}

/* scratch.row_sums (rows from r0 on, SPARSE_COLUMNS) = start + x W, or x W^T, for rows [r0, r1), r0
 * even, and `blocks` column blocks from `first` on of a layer's units, or ins. */
static void sum_group(const fm_net *net, const fm_layer *layer, bool transposed,
                      const fm_scratch *scratch, const sparse_layer *x, const real *start,
                      size_t first, size_t blocks, size_t r0, size_t r1)
{
    for (size_t k = 0; k < x->columns; k += SPARSE_STEPS) {
        const size_t steps = at_most(x->columns - k, SPARSE_STEPS);
        (transposed ? transpose_panel : copy_lines)(scratch->lines, layer, net->params, k, steps,
                                                    first, blocks);
        sparse_rows(blocks, scratch->row_sums, x, k, scratch->lines, k ? NULL : start, r0, r1);
    }
}

/* Column blocks of the next row of sums where `left` remain: rows of sums as equal as can be. */
INLINE size_t next_blocks(size_t left)
{
    const size_t rows = (left + SPARSE_BLOCKS - 1) / SPARSE_BLOCKS;
    return (left + rows - 1) / rows;
}

/* a[l] = f(b + W a[l-1]) for rows [r0, r1) and column blocks [first, last) of units; f's arrays
 * begin at r0. */
static void sparse_forward(const fm_net *net, const fm_work *work, const fm_part *part, size_t l,
                           size_t first, size_t last, size_t r0, size_t r1, activation f)
{
    const fm_scratch scratch = scratch_of(net, work, part->scratch);
    const fm_layer *layer = &net->layer[l];
    const size_t stride = work->rows * BLOCK;
    const sparse_layer x = {work->a[l - 1], work->active[l - 1], work->rows, part->r1, layer->n_in};
    for (size_t blocks; first < last; first += blocks) {
        blocks = next_blocks(last - first);
        real bias[SPARSE_COLUMNS] __attribute__((aligned(64)));
        copy_lines(bias, layer, net->params, layer->n_in, 1, first, blocks);
        for (size_t r = r0, end; r < r1; r = end) {
            const size_t even = r / 2 * 2; /* pairs stay together */
            end = at_most(even + SPARSE_GROUP, r1);
            sum_group(net, layer, false, &scratch, &x, bias, first, blocks, even, end);
            for (size_t b = 0; b < blocks; b++) {
                const size_t at = (first + b) * stride, count = (end - r) * BLOCK;
                real *c = (real *)work->a[l] + at + r * BLOCK;
                const real *sum = scratch.row_sums + (r - even) * SPARSE_COLUMNS + b * BLOCK;
                for (size_t i = 0; i < count; i += BLOCK, sum += SPARSE_COLUMNS)
                    UNROLL_FOR (int v = 0; v < BLOCK; v += LANES)
                        v_store(c + i + v, v_load(sum + v));
                if (f.activate)
                    f.activate(c, f.slope ? f.slope + at + (r - r0) * BLOCK : NULL, count, f.alpha);
            }
        }
    }
}

/* d[l-1] = d[l-1] . (W^l)^T d[l] for rows [r0, r1) and column blocks [first, last) of ins; it
 * holds f'(z). */
static void sparse_backward(const fm_net *net, const fm_work *work, const fm_part *part, size_t l,
                            size_t first, size_t last, size_t r0, size_t r1)
{
    static const real nothing[SPARSE_COLUMNS] __attribute__((aligned(64)));
    const fm_scratch scratch = scratch_of(net, work, part->scratch);
    const fm_layer *layer = &net->layer[l];
    const size_t stride = work->rows * BLOCK;
    const sparse_layer x = {work->d[l], work->active[l], work->rows, part->r1, layer->n_out};
    for (size_t blocks; first < last; first += blocks) {
        blocks = next_blocks(last - first);
        for (size_t r = r0, end; r < r1; r = end) {
            const size_t even = r / 2 * 2;
            end = at_most(even + SPARSE_GROUP, r1);
            sum_group(net, layer, true, &scratch, &x, nothing, first, blocks, even, end);
            for (size_t b = 0; b < blocks; b++) {
                real *d = (real *)work->d[l - 1] + (first + b) * stride + r * BLOCK;
                const real *sum = scratch.row_sums + (r - even) * SPARSE_COLUMNS + b * BLOCK;
                for (size_t i = r; i < end; i++, d += BLOCK, sum += SPARSE_COLUMNS)
                    UNROLL_FOR (int v = 0; v < BLOCK; v += LANES)
                        v_store(d + v, v_load(d + v) * v_load(sum + v));
            }
        }
    }
}

#endif
