/* layout.h -- parameters between panels and matrices, panels between forward and backward order */
#ifndef FM_KERNELS_LAYOUT_H
#define FM_KERNELS_LAYOUT_H

#include "kernels/product/gemm.h"

INLINE size_t blocks_of(size_t columns) { return (columns + BLOCK - 1) / BLOCK; }
INLINE size_t panels_of(size_t columns) { return (columns + PANEL - 1) / PANEL; }
/* Columns of panel p, padding included, in a layer of n_out units. */
INLINE size_t panel_width(size_t n_out, size_t p)
{
    size_t rest = blocks_of(n_out) * BLOCK - p * PANEL;
    return rest < PANEL ? rest : PANEL;
}

/* panels (n_in + 1, width) ... from weights (n_out, n_in) and bias (n_out,) */
static void pack(const fm_layer *layer, void *panels, const void *weights, const void *bias)
{
    real *to = (real *)panels + layer->offset;
    for (size_t p = 0; p < panels_of(layer->n_out); p++) {
        size_t width = panel_width(layer->n_out, p);
        for (size_t i = 0; i <= layer->n_in; i++, to += width)
            for (size_t o = 0; o < width; o++) {
                size_t out = p * PANEL + o;
                if (out >= layer->n_out)
                    to[o] = 0;
                else
                    to[o] = i < layer->n_in ? ((const real *)weights)[out * layer->n_in + i]
                                            : ((const real *)bias)[out];
            }
    }
}

static void unpack(const fm_layer *layer, const void *panels, void *weights, void *bias)
{
    const real *from = (const real *)panels + layer->offset;
    for (size_t p = 0; p < panels_of(layer->n_out); p++) {
        size_t width = panel_width(layer->n_out, p);
        for (size_t i = 0; i <= layer->n_in; i++, from += width)
            for (size_t o = 0; o < width && p * PANEL + o < layer->n_out; o++) {
                size_t out = p * PANEL + o;
                if (i < layer->n_in) {
                    if (weights) ((real *)weights)[out * layer->n_in + i] = from[o];
                } else if (bias)
                    ((real *)bias)[out] = from[o];
            }
    }
}

/* Columns of a narrow tile, which takes a quarter of the work. */
enum { FEW = LANES < 4 ? LANES : 4 };

/* to (COLUMNS, LANES) = the transpose of from's first COLUMNS columns; rows from `rows` on count
 * as 0. COLUMNS is a literal: what only other columns need falls away. */
INLINE void transpose_tile(const int COLUMNS, real *to, size_t to_stride, const real *from,
                           size_t from_stride, size_t rows)
{
    vec x[LANES], y[LANES];
    if (rows >= LANES)
        UNROLL_FOR (int i = 0; i < LANES; i++) x[i] = v_load(from + (size_t)i * from_stride);
    else
        UNROLL_FOR (int i = 0; i < LANES; i++)
            x[i] = (size_t)i < rows ? v_load(from + (size_t)i * from_stride) : v_zero();
    UNROLL_FOR (int stage = 1; stage < LANES; stage *= 2) {
        UNROLL_FOR (int i = 0; i < LANES / 2; i++) {
            y[2 * i] = v_zip_low(x[i], x[i + LANES / 2]);
            y[2 * i + 1] = v_zip_high(x[i], x[i + LANES / 2]);
        }
        UNROLL_FOR (int i = 0; i < LANES; i++) x[i] = y[i];
    }
    UNROLL_FOR (int i = 0; i < COLUMNS; i++) v_store(to + (size_t)i * to_stride, x[i]);
}

/* Tiles of any strides: their addresses would take the registers of the tiles beside them. */
static NOINLINE void transpose_any(real *to, size_t to_stride, const real *from, size_t from_stride,
                                   size_t rows)
{
    transpose_tile(LANES, to, to_stride, from, from_stride, rows);
}
static NOINLINE void transpose_few(real *to, size_t to_stride, const real *from, size_t from_stride,
                                   size_t rows)
{
    transpose_tile(FEW, to, to_stride, from, from_stride, rows);
}

/* The panel of the backward product: to (outs padded, blocks x BLOCK) = W[o][i] for outs from
 * first_out on, a multiple of BLOCK, and ins from block first_in on; 0 for ins past n_in. */
static void transpose_panel(real *to, const fm_layer *layer, const real *params, size_t first_out,
                            size_t outs, size_t first_in, size_t blocks)
{
    const size_t to_width = blocks * BLOCK;
    for (size_t o = first_out; o < first_out + outs; o += LANES, to += LANES * to_width) {
        const size_t p = o / PANEL, width = panel_width(layer->n_out, p),
                     rest = first_out + outs - o;
        const real *panel = params + layer->offset + p * PANEL * (layer->n_in + 1) + o % PANEL;
        const size_t onward = (layer->n_in + 1) * PANEL; /* to the panel that is read next */
        for (size_t i = 0; i < to_width; i += LANES) {
            size_t in = first_in * BLOCK + i, rows = in < layer->n_in ? layer->n_in - in : 0;
            if (rest <= FEW) {
                transpose_few(to + i, to_width, panel + in * width, width, rows);
                continue;
            }
            for (size_t r = 0; r < LANES; r++)
                __builtin_prefetch(panel + onward + (in + r) * width, 0, 2);
            /* literal strides wherever a tile is whole */
            if (to_width == PANEL && width == PANEL && rows >= LANES)
                transpose_tile(LANES, to + i, PANEL, panel + in * PANEL, PANEL, LANES);
            else if (to_width == PANEL && width == BLOCK && rows >= LANES)
                transpose_tile(LANES, to + i, PANEL, panel + in * BLOCK, BLOCK, LANES);
            else if (to_width == BLOCK && width == BLOCK && rows >= LANES)
                transpose_tile(LANES, to + i, BLOCK, panel + in * BLOCK, BLOCK, LANES);
            else
                transpose_any(to + i, to_width, panel + in * width, width, rows);
        }
    }
}

/* Rows [r0, r1) of an array of the workspace (blocks, rows, BLOCK) to out (rows, columns). */
static void copy_rows(const fm_work *work, const void *array, size_t columns, size_t r0, size_t r1,
                      void *out, size_t row_stride)
{
    const real *from = array;
    for (size_t r = r0; r < r1; r++) {
        real *to = (real *)out + (r - r0) * row_stride;
        for (size_t c = 0; c < columns; c += LANES) {
            const vec x = v_load(from + c / BLOCK * BLOCK * work->rows + r * BLOCK + c % BLOCK);
            if (columns - c < LANES)
                v_store_part(to + c, x, columns - c);
            else
                memcpy(to + c, &x, sizeof x);
        }
    }
}

#endif
