/* gemm.h -- activations times one panel of weights: the product of the forward and the backward pass
 *
 * Layouts (docs/design.md, "Layouts"):
 *   activations  (columns / BLOCK, rows, BLOCK): column blocks of one cache line; element (r, c) of an array
 *                with block stride S lies at (c / BLOCK) S + r BLOCK + c % BLOCK
 *   panel        (depth, width), width = PANEL, or BLOCK where the last panel of a layer is the half of one
 *
 * One tile of TILE_ROWS rows by one panel stays in registers over the whole depth: with AVX-512
 * 14 x 2 accumulators, 2 vectors of the panel and 1 broadcast fill 31 of 32 registers; with AVX2
 * 6 x 2 + 2 + 1 = 15 of 16. Every element is summed over the depth in order whatever the tile, so the
 * grouping of rows into tiles, blocks and threads does not change a bit of the result.
 */
#ifndef FM_KERNELS_GEMM_H
#define FM_KERNELS_GEMM_H

#include "vec.h"

enum {
    TILE_ROWS = FM_TILE_ROWS,
    PANEL_BLOCKS = FM_PANEL_BLOCKS,
    PANEL = PANEL_BLOCKS * BLOCK, /* columns of a panel */
    WIDE_PANELS = 4,              /* panels side by side where a tile has few rows */
    WIDE_ROWS = FM_WIDE_ROWS,     /* ... this many or fewer */
};

#define UNROLL _Pragma("GCC unroll 16")

/* Memory to ask for while a product keeps the multipliers busy: the rows of the next batch, which lie scattered in
 * main memory. Asked for in one go they would hold up the loads of the product. */
typedef struct fm_ahead {
    const char *line, *end;   /* what is left of the row under way */
    const uint32_t *order, *index;
    const char *data;
    ptrdiff_t row_stride;
    size_t row_bytes, position, last; /* next position in the order, the one after the last */
    int lines;                        /* cache lines to ask for at each step */
} fm_ahead;

INLINE void fetch_ahead(fm_ahead *ahead)
{
    for (int i = 0; i < ahead->lines; i++, ahead->line += 64) {
        if (ahead->line >= ahead->end) {
            if (ahead->position == ahead->last) return;
            size_t row = ahead->position++;
            if (ahead->order) row = ahead->order[row];
            if (ahead->index) row = ahead->index[row];
            ahead->line = ahead->data + (ptrdiff_t)row * ahead->row_stride;
            ahead->end = ahead->line + ahead->row_bytes;
        }
        __builtin_prefetch(ahead->line, 0, 2);
    }
}

/* What a product does with the array that it writes. */
enum product {
    PRODUCT_FORWARD,  /* C = b + A B, the bias b in the row after the panel's last */
    PRODUCT_BACKWARD, /* C = C . (A B): C held f'(z) */
};

/* C (rows, panels x blocks x BLOCK) from A (rows, depth) and panels B (depth, blocks x BLOCK). The sizes in
 * capitals are literals where this is inlined. */
INLINE void gemm_tile(const int ROWS, const int PANELS, const int BLOCKS, const enum product PRODUCT, real *c,
                      size_t c_stride, const real *a, size_t a_stride, const real *b, size_t b_stride, size_t depth,
                      fm_ahead *ahead)
{
    enum { MOST = FM_TILE_ROWS * FM_PANEL_BLOCKS * BLOCK_VECS > 8 * FM_WIDE_ROWS * BLOCK_VECS
                      ? FM_TILE_ROWS * FM_PANEL_BLOCKS * BLOCK_VECS
                      : 8 * FM_WIDE_ROWS * BLOCK_VECS };
    const int per_panel = BLOCKS * BLOCK_VECS, vecs = PANELS * per_panel;
    const size_t width = (size_t)BLOCKS * BLOCK;
    vec sum[MOST]; /* (ROWS, vecs) */

    UNROLL for (int r = 0; r < ROWS; r++)
        UNROLL for (int v = 0; v < vecs; v++)
            sum[r * vecs + v] = PRODUCT == PRODUCT_FORWARD
                                    ? v_load(b + (v / per_panel) * b_stride + depth * width + v % per_panel * LANES)
                                    : v_zero();

#define GEMM_STEP(k)                                                                                   \
    do {                                                                                               \
        vec line[MOST];                                                                                \
        UNROLL for (int v = 0; v < vecs; v++) line[v] =                                                \
            v_load(b + (v / per_panel) * b_stride + v % per_panel * LANES);                            \
        UNROLL for (int r = 0; r < ROWS; r++)                                                          \
        {                                                                                              \
            vec x = v_splat(a[r * BLOCK + (k)]);                                                       \
            UNROLL for (int v = 0; v < vecs; v++) sum[r * vecs + v] += x * line[v];                    \
        }                                                                                              \
        b += width;                                                                                    \
    } while (0)

    for (; depth >= BLOCK; depth -= BLOCK, a += a_stride) {
        if (ahead) fetch_ahead(ahead);
        _Pragma("GCC unroll 4") for (int k = 0; k < BLOCK; k++) GEMM_STEP(k);
    }
    for (size_t k = 0; k < depth; k++) GEMM_STEP(k);
#undef GEMM_STEP

    UNROLL for (int r = 0; r < ROWS; r++)
        UNROLL for (int v = 0; v < vecs; v++) {
            real *to = c + (size_t)(v / BLOCK_VECS) * c_stride + r * BLOCK + v % BLOCK_VECS * LANES;
            if (PRODUCT == PRODUCT_BACKWARD) sum[r * vecs + v] *= v_load(to);
            v_store(to, sum[r * vecs + v]);
        }
}

#define FM_CASES_14(M) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) M(14)
#define FM_CASES_6(M) M(1) M(2) M(3) M(4) M(5) M(6)
#define FM_CASES_3(M) M(1) M(2) M(3)
#define FM_CASES_2(M) M(1) M(2)
#define FM_CASES_1(M) M(1)
#define FM_CASES_(n, M) FM_CASES_##n(M)
#define FM_CASES(n, M) FM_CASES_(n, M)

/* One product of `rows` rows with one panel of `BLOCKS` column blocks, in tiles of equal height. */
#define DEFINE_GEMM_PANEL(name, BLOCKS, PRODUCT)                                                             \
    static void name(real *c, size_t c_stride, const real *a, size_t a_stride, const real *b, size_t depth, \
                     size_t rows, fm_ahead *ahead)                                                           \
    {                                                                                                        \
        size_t tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;                                                   \
        for (size_t t = 0; t < tiles; t++) {                                                                 \
            size_t height = rows / (tiles - t);                                                              \
            switch (height) { FM_CASES(FM_TILE_ROWS, GEMM_CASE_##BLOCKS##_##PRODUCT) }                       \
            rows -= height;                                                                                  \
            c += height * BLOCK;                                                                             \
            a += height * BLOCK;                                                                             \
        }                                                                                                    \
    }
#define GEMM_CASE(r, panels, blocks, product) \
    case r: gemm_tile(r, panels, blocks, product, c, c_stride, a, a_stride, b, 0, depth, ahead); break;
#define GEMM_CASE_1_PRODUCT_FORWARD(r) GEMM_CASE(r, 1, 1, PRODUCT_FORWARD)
#define GEMM_CASE_1_PRODUCT_BACKWARD(r) GEMM_CASE(r, 1, 1, PRODUCT_BACKWARD)
#define GEMM_CASE_2_PRODUCT_FORWARD(r) GEMM_CASE(r, 1, 2, PRODUCT_FORWARD)
#define GEMM_CASE_2_PRODUCT_BACKWARD(r) GEMM_CASE(r, 1, 2, PRODUCT_BACKWARD)

DEFINE_GEMM_PANEL(gemm_forward_1, 1, PRODUCT_FORWARD)
DEFINE_GEMM_PANEL(gemm_backward_1, 1, PRODUCT_BACKWARD)
#if FM_PANEL_BLOCKS == 2
DEFINE_GEMM_PANEL(gemm_forward_2, 2, PRODUCT_FORWARD)
DEFINE_GEMM_PANEL(gemm_backward_2, 2, PRODUCT_BACKWARD)
#else
#define gemm_forward_2 gemm_forward_1
#define gemm_backward_2 gemm_backward_1
#endif

/* Few rows would leave the adders waiting for one another: WIDE_PANELS panels at once keep them busy. */
static void gemm_forward_wide(real *c, size_t c_stride, const real *a, size_t a_stride, const real *b,
                              size_t b_stride, size_t depth, size_t rows, fm_ahead *ahead)
{
    switch (rows) {
#define GEMM_CASE_WIDE(r)                                                                                     \
    case r:                                                                                                   \
        gemm_tile(r, WIDE_PANELS, FM_PANEL_BLOCKS, PRODUCT_FORWARD, c, c_stride, a, a_stride, b, b_stride, depth, ahead); \
        break;
        FM_CASES(FM_WIDE_ROWS, GEMM_CASE_WIDE)
    }
}

/* C = b + A W^T for a whole layer: c (rows, columns) from a (rows, depth) and the layer's panels. */
static void gemm_forward(real *c, size_t c_stride, const real *a, size_t a_stride, const real *panels, size_t depth,
                         size_t columns, size_t rows, fm_ahead *ahead)
{
    const size_t panel_stride = (depth + 1) * PANEL;
    size_t whole = columns / PANEL; /* the last panel may be half of one */
    if (rows <= WIDE_ROWS)
        for (; whole >= WIDE_PANELS; whole -= WIDE_PANELS) {
            gemm_forward_wide(c, c_stride, a, a_stride, panels, panel_stride, depth, rows, ahead);
            panels += WIDE_PANELS * panel_stride;
            c += WIDE_PANELS * PANEL_BLOCKS * c_stride;
            columns -= WIDE_PANELS * PANEL;
        }
    for (; columns > BLOCK * (PANEL_BLOCKS - 1); columns -= columns < PANEL ? columns : PANEL) {
        gemm_forward_2(c, c_stride, a, a_stride, panels, depth, rows, ahead);
        panels += panel_stride;
        c += PANEL_BLOCKS * c_stride;
    }
    if (columns) gemm_forward_1(c, c_stride, a, a_stride, panels, depth, rows, ahead);
}

#endif
