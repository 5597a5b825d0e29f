/* layer.h -- the rows phase: the rows of a batch through gather, forward, loss and backward
 *
 * A thread computes a slice of each layer: whole panels of units, but for the two ends. So it reads
 * the weights that it will change in the weights phase, and threads exchange activations and deltas
 * alone.
 */
#ifndef FM_KERNELS_LAYER_H
#define FM_KERNELS_LAYER_H

#include "kernels/data/augment.h"
#include "kernels/data/convert.h"
#include "kernels/losses.h"
#include "kernels/work_stealing.h"
#include "kernels/product/sparse_rows.h"

INLINE size_t row_at(const fm_batch *batch, size_t position)
{
    const size_t at = batch->order ? batch->order[position] : position;
    return batch->data->index ? batch->data->index[at] : at;
}
INLINE size_t source_row(const fm_batch *batch, size_t r)
{
    return row_at(batch, batch->first + r);
}

enum {
    CACHED = 1 << 16, /* elements of x that need no prefetch */
    SHORT_ROW = 64,   /* columns; shorter rows need none either */
};

/* Rows of the batch in a slice, where work is split by rows. */
INLINE size_t first_row(const fm_part *part)
{
    return part->r0 + fm_slice(part->r1 - part->r0, part->index, part->parts);
}
INLINE size_t last_row(const fm_part *part)
{
    return part->r0 + fm_slice(part->r1 - part->r0, part->index + 1, part->parts);
}

/* Rows [r0, r1) of panels [p0, p1) of a layer */
typedef struct rectangle {
    size_t r0, r1, p0, p1;
} rectangle;

/* Values [from, to) of a layer, panel by panel and in each row by row, as rectangles; how many. */
static int rectangles(const fm_part *part, size_t panels, size_t from, size_t to, rectangle out[3])
{
    const size_t rows = part->r1 - part->r0;
    if (from == 0 && to == rows * panels) {
        out[0] = (rectangle){part->r0, part->r1, 0, panels};
        return from < to;
    }
    int count = 0;
    for (size_t at = from; at < to;) {
        const size_t p = at / rows, r = at % rows;
        rectangle one = {part->r0 + r, part->r1, p, p + 1};
        if (r == 0 && to - at >= rows)
            one.p1 = to / rows;
        else if (to < (p + 1) * rows)
            one.r1 = part->r0 + to - p * rows;
        at = one.r1 == part->r1 ? one.p1 * rows : to;
        out[count++] = one;
    }
    return count;
}

/* The chunks of a layer of so many panels, each a product of `depth` steps. */
INLINE chunk_queue chunks_of_layer(const fm_part *part, size_t panels, size_t depth, size_t phase,
                                   bool sparse)
{
    const size_t rows = part->r1 - part->r0, unit = sparse ? SPARSE_BLOCKS / PANEL_BLOCKS : 1;
    const int slices = slices_to_visit(part, panels / unit, rows * depth * PANEL * unit);
    return (chunk_queue){
        part, rows * panels, slices > 1 ? rows * unit : rows * panels + 1, phase, slices, 0, 0};
}

/* Can the next batch's inputs be copied while this one is worked on? */
static bool copies_next(const fm_net *net, const fm_matrix *x, const fm_train *train)
{
    const bool changes = train && (train->augments || net->layer[0].dropout > 0);
    return x->columns >= SHORT_ROW && rows_are_plain(x) && !changes;
}

/* Rows that are prefetched where the parameters fill a near cache already; more would evict
 * weights. */
enum { FIRST_ROWS = 16 };

/* How the slice's rows of the next batch are prefetched, or copied, over the steps of the first
 * layer's product. Rows are not short. */
static NOINLINE row_prefetch plan_row_prefetch(const fm_net *net, const fm_work *work,
                                               const fm_batch *batch, const fm_part *part)
{
    const fm_matrix *x = &batch->data->x;
    const size_t r0 = first_row(part), r1 = at_most(last_row(part), batch->next_count);
    const size_t moments = batch->train ? (size_t)batch->train->moments : 0;
    const bool crowded =
        net->n_params * sizeof(real) * (1 + moments) > FM_NEAR_BYTES / 2 * (size_t)part->parts;
    const size_t end = crowded && !batch->next ? at_most(r1, r0 + FIRST_ROWS) : r1,
                 size = fm_dtype_size(x->dtype);
    row_prefetch prefetch = {.order = batch->order,
                             .index = batch->data->index,
                             .data = x->data,
                             .row_stride = x->row_stride};
    prefetch.bad = v_zero();
    const bool near = batch->data->rows * x->columns < CACHED;
    if (r0 >= end || x->column_stride != (ptrdiff_t)size || (near && !batch->next)) return prefetch;
    prefetch.position = batch->next_first + r0;
    prefetch.last = batch->next_first + end;
    prefetch.stride = work->rows * BLOCK;
    prefetch.blocks = (x->columns * size + (batch->next ? 0 : 63)) / 64;
    prefetch.base = batch->next ? (real *)batch->next->a[0] + r0 * BLOCK : NULL;
    const size_t lines = (end - r0 + 1) * prefetch.blocks;
    const size_t tiles =
        panels_of(net->layer[1].n_out) * ((part->r1 - part->r0 + NARROW_ROWS - 1) / NARROW_ROWS);
    const size_t steps = x->columns / BLOCK * tiles / (size_t)part->parts;
    prefetch.lines = lines / (steps + 1) + 1;
    prefetch_next_row(&prefetch);
    return prefetch;
}

/* Copies the rows that a short product left, and what lies behind their whole blocks. False: a
 * value is not finite. */
static bool finish_row_prefetch(row_prefetch *prefetch, const fm_batch *batch, const fm_part *part)
{
    while (prefetch->lines) prefetch_step(prefetch);
    const fm_matrix *x = &batch->data->x;
    const size_t whole = x->columns / BLOCK * BLOCK, rest = x->columns - whole;
    real *to = (real *)batch->next->a[0] + whole / BLOCK * prefetch->stride;
    for (size_t r = first_row(part); rest && r < at_most(last_row(part), batch->next_count); r++) {
        const real *row = plain_row(x, row_at(batch, batch->next_first + r)) + whole;
        prefetch->bad += scatter_rows(to + r * BLOCK, prefetch->stride, &row, 1, rest, false);
    }
    return v_sum(prefetch->bad) == 0;
}

/* What the loss wants of rows [r0, r1) of the batch. */
static void gather_targets(const fm_work *work, const fm_batch *batch, size_t r0, size_t r1)
{
    const fm_matrix *y = &batch->data->y;
    for (size_t r = r0; y->labels && r < r1; r++) {
        int64_t label;
        memcpy(&label, (const char *)y->data + (ptrdiff_t)source_row(batch, r) * y->row_stride,
               sizeof label);
        ((real *)work->labels)[r] = (real)label;
    }
    for (size_t r = r0; !y->labels && r < r1; r++)
        for (size_t c = 0; c < y->columns; c += BLOCK) {
            real target[BLOCK] = {0};
            convert_row(target, y, source_row(batch, r), c, at_most(BLOCK, y->columns - c));
            memcpy((real *)work->targets + (c * work->rows + r * BLOCK), target, sizeof target);
        }
    if (!batch->data->sample_weight) return;
    for (size_t r = r0; r < r1; r++) {
        /* in double: either factor may be out of the range of a float */
        const double weight = batch->data->sample_weight[source_row(batch, r)] * batch->delta_scale;
        ((real *)work->row_weight)[r] = (real)weight;
    }
}

/* Plain inputs (convert.h) of rows [r0, r1) of the batch. Gives the sum of the values times 0. */
static NOINLINE vec gather_plain(const fm_net *net, const fm_work *work, const fm_batch *batch,
                                 size_t r0, size_t r1, bool shared)
{
    const size_t n0 = net->layer[0].n_out;
    const fm_matrix *x = &batch->data->x;
    real *to = (real *)work->a[0] + r0 * BLOCK;
    vec bad = v_zero();
    if (n0 <= BLOCK) {
        for (size_t r = r0; r < r1; r++, to += BLOCK) {
            const real *row = plain_row(x, source_row(batch, r));
            UNROLL_FOR (size_t v = 0; v < BLOCK; v += LANES) {
                const vec values = v_load_part(row + v, n0 > v ? at_most(n0 - v, LANES) : 0);
                bad += values * 0;
                v_store(to + v, values);
            }
        }
        return bad;
    }
    for (size_t r = r0; r < r1; r += SCATTER_ROWS, to += SCATTER_ROWS * BLOCK) {
        const real *row[SCATTER_ROWS];
        const size_t rows = at_most(SCATTER_ROWS, r1 - r);
        for (size_t i = 0; i < rows; i++) row[i] = plain_row(x, source_row(batch, r + i));
        bad += scatter_rows(to, work->rows * BLOCK, row, rows, n0, shared);
    }
    return bad;
}

/* Any other inputs, converted and augmented. */
static NOINLINE vec gather_changed(const fm_net *net, const fm_work *work, const fm_batch *batch,
                                   const fm_part *part)
{
    const size_t r0 = first_row(part), r1 = last_row(part), n0 = net->layer[0].n_out;
    const fm_scratch scratch = scratch_of(net, work, part->scratch);
    vec bad = v_zero();
    for (size_t r = r0; r < r1; r++) {
        const real *row = scratch.row;
        convert_row(scratch.row, &batch->data->x, source_row(batch, r), 0, n0);
        if (batch->train && batch->train->augments)
            augment_row(scratch.row, scratch.spare, n0, batch->train, (uint32_t)(batch->first + r),
                        batch->epoch);
        bad += scatter_rows((real *)work->a[0] + r * BLOCK, work->rows * BLOCK, &row, 1, n0,
                            part->parts > 1);
    }
    return bad;
}

static NOINLINE void drop_inputs(const fm_net *net, const fm_work *work, const fm_batch *batch,
                                 size_t r0, size_t r1)
{
    for (size_t r = r0; r < r1; r++)
        dropout_row((real *)work->a[0] + r * BLOCK, NULL, work->rows * BLOCK, 0,
                    net->layer[0].n_out, net->layer[0].dropout,
                    (draw_at){(uint32_t)(batch->first + r), fm_draw_purpose(FM_DRAW_DROPOUT, 0),
                              batch->epoch, batch->train->seed});
}

/* The slice's rows of inputs and targets. False: an input is not finite. */
static bool gather(const fm_net *net, const fm_work *work, const fm_batch *batch,
                   const fm_part *part)
{
    const size_t r0 = first_row(part), r1 = last_row(part);
    if (batch->data->y.data) gather_targets(work, batch, r0, r1);
    if (batch->copied) return true;
    const bool plain = rows_are_plain(&batch->data->x) && !(batch->train && batch->train->augments);
    const vec bad = plain ? gather_plain(net, work, batch, r0, r1, part->parts > 1)
                          : gather_changed(net, work, batch, part);
    if (batch->train && net->layer[0].dropout > 0) drop_inputs(net, work, batch, r0, r1);
    return v_sum(bad) == 0;
}

/* a[l] = f_l(W^l a[l-1] + b^l); d[l] as `keep` says. Softmax, and what the loss wants as z, stay
 * z. */
static void forward_slice(const fm_net *net, const fm_work *work, const fm_batch *batch,
                          const fm_part *part, size_t l, enum fm_keep keep, row_prefetch *prefetch)
{
    const fm_layer *layer = &net->layer[l];
    const size_t stride = work->rows * BLOCK, units = blocks_of(layer->n_out) * BLOCK;
    const bool softmax = layer->activation == FM_ACTIVATION_softmax;
    const bool left_to_loss =
        l == net->n_layers - 1 && keep == FM_KEEP_SLOPE && output_is_combined(net);
    const size_t panels = panels_of(layer->n_out);
    const bool sparse = is_sparse(net, work, part, l - 1, layer->n_out);
    const bool bits = part->sparse && fm_keeps_bits(net, l, part->r1);
    chunk_queue queue =
        chunks_of_layer(part, panels, layer->n_in, fm_phase(net, FM_PHASE_FORWARD, l), sparse);
    for (size_t from, to; next_chunk(&queue, &from, &to);) {
        rectangle run[3];
        const int count = rectangles(part, panels, from, to, run);
        for (int i = 0; i < count; i++) {
            const rectangle s = run[i];
            const size_t at = s.r0 * BLOCK, first = s.p0 * PANEL,
                         last = at_most(s.p1 * PANEL, units);
            real *a = (real *)work->a[l] + at,
                 *d = keep == FM_KEEP_NOTHING ? NULL : (real *)work->d[l] + at;
            const activation f = {
                .activate = softmax || left_to_loss ? NULL : activate_table[layer->activation],
                .alpha = (real)layer->alpha,
                .slope = keep == FM_KEEP_SLOPE ? d : NULL,
                .z = keep == FM_KEEP_Z ? d : NULL};
            if (sparse)
                sparse_forward(net, work, part, l, first / BLOCK, last / BLOCK, s.r0, s.r1, f);
            else
                gemm_forward(a, stride, (const real *)work->a[l - 1] + at, stride,
                             (const real *)net->params + layer->offset, layer->n_in, first, last,
                             s.r1 - s.r0, f, prefetch);
            if (batch->train && layer->dropout > 0)
                for (size_t r = s.r0; r < s.r1; r++)
                    dropout_row((real *)work->a[l] + r * BLOCK, (real *)work->d[l] + r * BLOCK,
                                stride, first, last, layer->dropout,
                                (draw_at){(uint32_t)(batch->first + r),
                                          fm_draw_purpose(FM_DRAW_DROPOUT, (uint32_t)l),
                                          batch->epoch, batch->train->seed});
            if (bits) note_active(work, l, first / BLOCK, last / BLOCK, s.r0, s.r1);
        }
    }
}

/* The first layer; the next batch's rows are prefetched meanwhile. */
static NOINLINE bool forward_first(const fm_net *net, const fm_work *work, const fm_batch *batch,
                                   const fm_part *part, enum fm_keep keep)
{
    row_prefetch prefetch = plan_row_prefetch(net, work, batch, part);
    forward_slice(net, work, batch, part, 1, keep, prefetch.lines ? &prefetch : NULL);
    return !batch->next || finish_row_prefetch(&prefetch, batch, part);
}

static bool forward(const fm_net *net, const fm_work *work, const fm_batch *batch,
                    const fm_part *part, size_t l, enum fm_keep keep)
{
    if (l == 1 && batch->data->x.columns >= SHORT_ROW)
        return forward_first(net, work, batch, part, keep);
    forward_slice(net, work, batch, part, l, keep, NULL);
    return true;
}

static void finish_outputs(const fm_net *net, const fm_work *work, const fm_part *part)
{
    const size_t last = net->n_layers - 1;
    if (net->layer[last].activation == FM_ACTIVATION_softmax)
        softmax_rows(work->a[last], work->rows * BLOCK, net->layer[last].n_out, first_row(part),
                     last_row(part));
}

/* Loss and delta of the outputs; leaves a in the output where the loss is combined. */
static void output_loss(const fm_net *net, const fm_work *work, const fm_batch *batch,
                        const fm_part *part)
{
    const size_t r0 = first_row(part), r1 = last_row(part);
    if (!output_is_combined(net)) finish_outputs(net, work, part);
    if (r0 < r1) output_loss_rows(net, work, batch, r0, r1);
}

/* Rows of `sums` that gemm_backward needs for any slice of so many rows. */
static size_t backward_sums(size_t rows, size_t n_out)
{
    const size_t deep = chunk_depth(rows, n_out, GEMM_DEPTH);
    return deep < n_out ? at_most(rows, GEMM_CHUNK / deep) : 0;
}

/* d (rows, n_in) = d . (delta (rows, n_out) W) for column blocks [first, last) of the ins; d
 * holds f'(z). Sums that go on over several depths rest in `sums` (blocks, group, BLOCK). */
static void gemm_backward(const fm_net *net, const fm_layer *layer, real *d, const real *delta,
                          size_t stride, size_t rows, size_t first, size_t last, real *panel,
                          real *sums)
{
    const size_t depth = layer->n_out, deep = chunk_depth(rows, depth, GEMM_DEPTH),
                 group = chunk_rows(rows, deep);
    for (size_t r = 0; r < rows; r += group)
        for (size_t k = 0; k < depth; k += deep) {
            const bool done = k + deep >= depth;
            gemm g = {.c_stride = done ? stride : group * BLOCK,
                      .start_stride = group * BLOCK,
                      .start_step = BLOCK,
                      .a_stride = stride,
                      .b = panel,
                      .depth = at_most(deep, depth - k),
                      .times_c = done};
            for (size_t b = first; b < last; b += PANEL_BLOCKS) {
                const size_t wide = at_most(PANEL_BLOCKS, last - b);
                transpose_panel(panel, layer, net->params, k, g.depth, b, wide);
                g.c = done ? d + b * stride + r * BLOCK : sums + b * group * BLOCK;
                g.start = k ? sums + b * group * BLOCK : NULL;
                g.a = delta + k / BLOCK * stride + r * BLOCK;
                g.rows = at_most(group, rows - r);
                (wide == PANEL_BLOCKS ? gemm_panel_2 : gemm_panel_1)(&g);
            }
        }
}

/* d[l-1] = f'(z^(l-1)) . (W^l)^T d[l] */
static void backward(const fm_net *net, const fm_work *work, const fm_part *part, size_t l)
{
    const fm_scratch scratch = scratch_of(net, work, part->scratch);
    const fm_layer *layer = &net->layer[l];
    const size_t panels = panels_of(layer->n_in);
    const bool sparse = is_sparse(net, work, part, l, layer->n_in);
    chunk_queue queue =
        chunks_of_layer(part, panels, layer->n_out, fm_phase(net, FM_PHASE_BACKWARD, l), sparse);
    for (size_t from, to; next_chunk(&queue, &from, &to);) {
        rectangle run[3];
        const int count = rectangles(part, panels, from, to, run);
        for (int i = 0; i < count; i++) {
            const rectangle s = run[i];
            const size_t first = s.p0 * PANEL_BLOCKS,
                         last = at_most(s.p1 * PANEL_BLOCKS, blocks_of(layer->n_in));
            if (sparse)
                sparse_backward(net, work, part, l, first, last, s.r0, s.r1);
            else
                gemm_backward(net, layer, (real *)work->d[l - 1] + s.r0 * BLOCK,
                              (const real *)work->d[l] + s.r0 * BLOCK, work->rows * BLOCK,
                              s.r1 - s.r0, first, last, scratch.panel, scratch.sums);
        }
    }
}

#endif
