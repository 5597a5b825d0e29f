/* rows.h -- the rows phase: a slice of a batch's rows through gather, forward, loss and backward
 *
 * A thread owns rows [r0, r1) through the whole phase and meets no other thread in it.
 */
#ifndef FM_KERNELS_ROWS_H
#define FM_KERNELS_ROWS_H

#include "augment.h"
#include "convert.h"
#include "losses.h"

/* What a thread writes beside the batch's arrays, laid over its part of the workspace's scratch. */
typedef struct fm_scratch {
    real *row, *spare; /* (n_0 padded,) twice: a row under conversion and augmentation */
    real *tile;        /* (BLOCK + 1, PANEL): gradients of one column block of ins */
    real *panel;       /* (widest n_l padded, PANEL): a transposed panel */
    real *sums;        /* (blocks, rows of a piece, BLOCK): sums of a product that is cut in its depth */
} fm_scratch;

INLINE fm_scratch scratch_of(const fm_net *net, const fm_work *work, size_t thread)
{
    real *base = (real *)(void *)(work->scratch + thread * work->scratch_bytes);
    const size_t row = blocks_of(net->layer[0].n_out) * BLOCK, tile = (BLOCK + 1) * PANEL;
    real *panel = base + 2 * row + tile;
    return (fm_scratch){base, base + row, base + 2 * row, panel, panel + work->widest * PANEL};
}

INLINE size_t source_row(const fm_batch *batch, size_t r)
{
    const size_t at = batch->order ? batch->order[batch->first + r] : batch->first + r;
    return batch->x->index ? batch->x->index[at] : at;
}

enum { CACHED = 1 << 16 }; /* elements of x that need not be asked for early */

/* The next batch's rows that this slice will gather, spread over the steps of the first layer's product. */
INLINE fm_ahead rows_ahead(const fm_net *net, const fm_batch *batch, size_t r0, size_t r1)
{
    const fm_matrix *x = batch->x;
    const size_t end = r1 < batch->next_count ? r1 : batch->next_count;
    fm_ahead ahead = {.order = batch->order, .index = x->index, .data = x->data, .row_stride = x->row_stride};
    /* small rows, or few of them, are in a cache already */
    if (r0 >= end || x->columns < 64 || x->rows * x->columns < CACHED) return ahead;
    const size_t size = fm_dtype_size(x->dtype);
    if (x->column_stride != (ptrdiff_t)size) return ahead;
    ahead.row_bytes = x->columns * size;
    ahead.position = batch->first + batch->count + r0;
    ahead.last = batch->first + batch->count + end;
    const size_t lines = (end - r0) * (ahead.row_bytes / 64 + 1);
    const size_t steps = x->columns / BLOCK * panels_of(net->layer[1].n_out) * ((r1 - r0 + TILE_ROWS - 1) / TILE_ROWS);
    ahead.lines = (int)(lines / (steps + 1) + 1);
    return ahead;
}

static bool gather(const fm_net *net, const fm_work *work, const fm_batch *batch, size_t r0, size_t r1, size_t thread)
{
    const size_t stride = work->rows * BLOCK, n0 = net->layer[0].n_out;
    const fm_scratch scratch = scratch_of(net, work, thread);
    const fm_matrix *x = batch->x, *y = batch->y;
    const fm_train *train = batch->train;
    const bool plain = rows_are_plain(x) && !(train && train->augments);
    const double dropped = train ? net->layer[0].dropout : 0;
    vec bad = v_zero();
    const size_t ahead = work->threads > 1 ? (r1 - r0 < 5 ? r1 - r0 - 1 : 4) * BLOCK : 0;
    for (size_t r = r0; r < r1; r++) {
        const size_t from = source_row(batch, r);
        const uint32_t position = (uint32_t)(batch->first + r);
        real *to = (real *)work->a[0] + r * BLOCK;
        const real *row = (const real *)((const char *)x->data + (ptrdiff_t)from * x->row_stride);
        if (!plain) {
            convert_row(scratch.row, x, from, 0, n0);
            if (train && train->augments) augment_row(scratch.row, scratch.spare, n0, train, position, batch->epoch);
            row = scratch.row;
        }
        bad += scatter_row(to, stride, row, n0, r + 4 < r1 ? ahead : 0);
        if (dropped > 0)
            dropout_row(to, NULL, stride, n0, dropped,
                        (draw_at){position, fm_draw_purpose(FM_DRAW_DROPOUT, 0), batch->epoch, train->seed});
        if (!y) continue;
        if (y->labels) {
            int64_t label;
            memcpy(&label, (const char *)y->data + (ptrdiff_t)from * y->row_stride, sizeof label);
            ((real *)work->labels)[r] = (real)label;
        } else {
            real target[BLOCK];
            for (size_t c = 0; c < y->columns; c += BLOCK) {
                size_t count = y->columns - c < BLOCK ? y->columns - c : BLOCK;
                memset(target, 0, sizeof target);
                convert_row(target, y, from, c, count);
                memcpy((real *)work->targets + c / BLOCK * stride + r * BLOCK, target, sizeof target);
            }
        }
        if (batch->sample_weight) /* in double: either factor may be out of the range of a float */
            ((real *)work->row_weight)[r] = (real)(batch->sample_weight[from] * batch->delta_scale);
    }
    return v_sum(bad) == 0;
}

/* a[l] = f_l(W^l a[l-1] + b^l) for every layer; d[l] as `keep` says. A combined output is left at z for the loss. */
static void forward(const fm_net *net, const fm_work *work, const fm_batch *batch, size_t r0, size_t r1,
                    enum fm_keep keep)
{
    const size_t stride = work->rows * BLOCK, at = r0 * BLOCK, rows = r1 - r0, last = net->n_layers - 1;
    fm_ahead ahead = rows_ahead(net, batch, r0, r1);
    for (size_t l = 1; l <= last; l++) {
        const fm_layer *layer = &net->layer[l];
        real *a = (real *)work->a[l] + at, *d = keep == FM_KEEP_NOTHING ? NULL : (real *)work->d[l] + at;
        const real *input = (const real *)work->a[l - 1] + at;
        const bool softmax = layer->activation == FM_ACTIVATION_softmax;
        const bool left_to_loss = l == last && keep == FM_KEEP_SLOPE && output_is_combined(net);
        const activation f = {.activate = softmax || left_to_loss ? NULL : activate_table[layer->activation],
                              .alpha = (real)layer->alpha,
                              .slope = keep == FM_KEEP_SLOPE ? d : NULL,
                              .z = keep == FM_KEEP_Z ? d : NULL,
                              .shared = work->threads > 1};
        gemm_forward(a, stride, input, stride, (const real *)net->params + layer->offset, layer->n_in,
                     blocks_of(layer->n_out) * BLOCK, rows, f, l == 1 && ahead.lines ? &ahead : NULL);
        if (softmax && !left_to_loss) softmax_rows(work->a[l], stride, layer->n_out, r0, r1);
        if (batch->train && layer->dropout > 0)
            for (size_t r = 0; r < rows; r++)
                dropout_row(a + r * BLOCK, d + r * BLOCK, stride, layer->n_out, layer->dropout,
                            (draw_at){(uint32_t)(batch->first + r0 + r), fm_draw_purpose(FM_DRAW_DROPOUT, (uint32_t)l),
                                      batch->epoch, batch->train->seed});
    }
}

/* Rows of `sums` that gemm_backward needs. */
static size_t backward_sums(size_t rows, size_t n_out)
{
    const size_t deep = piece_depth(rows, n_out, GEMM_DEPTH);
    return deep < n_out ? GEMM_PIECE / deep : 0;
}

/* d (rows, n_in) = d . (delta (rows, n_out) W), where d holds f'(z) of the layer below. Sums that go on over several
 * depths rest in `sums` (blocks, group, BLOCK). */
static void gemm_backward(const fm_net *net, const fm_layer *layer, real *d, const real *delta, size_t stride,
                          size_t rows, real *panel, real *sums)
{
    const size_t depth = layer->n_out, deep = piece_depth(rows, depth, GEMM_DEPTH), group = GEMM_PIECE / deep;
    const size_t blocks = blocks_of(layer->n_in);
    for (size_t r = 0; r < rows; r += group)
        for (size_t k = 0; k < depth; k += deep) {
            const bool last = k + deep >= depth;
            gemm g = {.c_stride = last ? stride : group * BLOCK,
                      .start_stride = group * BLOCK,
                      .start_step = BLOCK,
                      .a_stride = stride,
                      .a = delta + k / BLOCK * stride + r * BLOCK,
                      .b = panel,
                      .depth = at_most(deep, depth - k),
                      .rows = at_most(group, rows - r),
                      .times_c = last};
            for (size_t b = 0; b < blocks; b += PANEL_BLOCKS) {
                const size_t wide = at_most(PANEL_BLOCKS, blocks - b);
                transpose_panel(panel, layer, net->params, k, g.depth, b, wide);
                g.c = last ? d + b * stride + r * BLOCK : sums + b * group * BLOCK;
                g.start = k ? sums + b * group * BLOCK : NULL;
                (wide == PANEL_BLOCKS ? gemm_panel_2 : gemm_panel_1)(g);
            }
        }
}

/* d[l-1] = f'(z^(l-1)) . (W^l)^T d[l], from the output down to layer `last_layer` */
static void backward(const fm_net *net, const fm_work *work, size_t r0, size_t r1, size_t thread, size_t last_layer)
{
    const fm_scratch scratch = scratch_of(net, work, thread);
    for (size_t l = net->n_layers - 1; l > last_layer; l--)
        gemm_backward(net, &net->layer[l], (real *)work->d[l - 1] + r0 * BLOCK, (const real *)work->d[l] + r0 * BLOCK,
                      work->rows * BLOCK, r1 - r0, scratch.panel, scratch.sums);
}

#endif
