/* gemm.h -- activations times a panel of weights: the product of the forward and the backward pass
 *
 * Layouts (docs/engine/layouts.md):
 *   activations  (columns / BLOCK, rows, BLOCK): column blocks of a cache line; with block
 *                stride S, element (r, c) lies at (c / BLOCK) S + r BLOCK + c % BLOCK
 *   panel        (depth, width), width = PANEL, or BLOCK where a layer's last panel is half a one
 *
 * A tile of TILE_ROWS rows by one panel stays in registers over the whole depth: with AVX-512
 * 14 x 2 sums, 2 vectors of the panel and 1 broadcast are 31 of 32 registers, with AVX2 15 of 16.
 *
 * An element is summed over the depth in order: no grouping into tiles or threads changes its bits.
 */
#ifndef FM_KERNELS_GEMM_H
#define FM_KERNELS_GEMM_H

#include "kernels/product/prefetch.h"

enum {
    TILE_ROWS = FM_TILE_ROWS,
    NARROW_ROWS = FM_NARROW_ROWS, /* of a tile whose panel is one block wide */
    PANEL_BLOCKS = FM_PANEL_BLOCKS,
    PANEL = PANEL_BLOCKS * BLOCK, /* columns of a panel */
    WIDE_PANELS = 4,              /* panels side by side where a tile has few rows */
    WIDE_ROWS = FM_WIDE_ROWS,     /* ... this many or fewer */
};

/* A large product is cut in rows, so that L3 holds a chunk's activations while all panels pass by,
 * and in depth, so that L2 holds a panel. Sums over several depths rest in memory, exactly. */
enum {
    GEMM_CHUNK = 8192 * 1024 / sizeof(real), /* elements of activations */
    GEMM_DEPTH = 2048,                       /* of a chunk at most */
    PREFETCH_DEPTH = 32, /* steps from the prefetch of a panel's line to its use */
};

/* C (rows, columns of a panel) = start + A (rows, depth) B (depth, columns of a panel). */
typedef struct gemm {
    real *c;
    const real *slope; /* laid out as c, will be written soon after it; or NULL */
    const real *start; /* what the sums begin with: a bias, earlier sums, or NULL for 0 */
    const real *a, *b;
    size_t c_stride, start_stride, a_stride; /* from one column block to the next */
    size_t start_step;           /* from one row of start to the next: BLOCK, or 0 for a bias */
    size_t b_panel, start_panel; /* from one panel to the next, where several are taken at once */
    size_t depth, rows;
    bool times_c;           /* C holds f'(z) and is multiplied by the sums */
    row_prefetch *prefetch; /* rows of the next batch, or NULL */
} gemm;

/* One register tile. The sizes in capitals are literals where this is inlined. */
INLINE void gemm_tile(const int ROWS, const int PANELS, const int BLOCKS, gemm *g)
{
    enum {
        MOST = FM_TILE_ROWS * FM_PANEL_BLOCKS * BLOCK_VECS > 8 * FM_WIDE_ROWS * BLOCK_VECS
            ? FM_TILE_ROWS * FM_PANEL_BLOCKS * BLOCK_VECS
            : 8 * FM_WIDE_ROWS * BLOCK_VECS
    };
    const int per_panel = BLOCKS * BLOCK_VECS, vecs = PANELS * per_panel;
    const size_t width = (size_t)BLOCKS * BLOCK;
    const real *a = g->a, *b = g->b;
    size_t depth = g->depth;
    vec sum[MOST]; /* (ROWS, vecs) */

#define TILE_AT(base, stride, step, r, v) \
    ((base) + (size_t)((v) / BLOCK_VECS) * (stride) + (r) * (step) + (v) % BLOCK_VECS * LANES)
    if (depth > PREFETCH_DEPTH) { /* or the lines would come too late */
        UNROLL_FOR (int r = 0; r < ROWS; r++)
            UNROLL_FOR (int v = 0; v < vecs; v += BLOCK_VECS)
                prefetch_to_write(TILE_AT(g->c, g->c_stride, BLOCK, r, v));
        if (g->slope) {
            UNROLL_FOR (int r = 0; r < ROWS; r++)
                UNROLL_FOR (int v = 0; v < vecs; v += BLOCK_VECS)
                    prefetch_to_write(TILE_AT(g->slope, g->c_stride, BLOCK, r, v));
        }
    }
    if (g->start)
        UNROLL_FOR (int r = 0; r < ROWS; r++)
            UNROLL_FOR (int v = 0; v < vecs; v++)
                sum[r * vecs + v] =
                    v_load(TILE_AT(g->start + v / per_panel * g->start_panel, g->start_stride,
                                   g->start_step, r, v % per_panel));
    else
        UNROLL_FOR (int i = 0; i < ROWS * vecs; i++) sum[i] = v_zero();

#define GEMM_STEP(k)                                                                    \
    do {                                                                                \
        vec line[MOST];                                                                 \
        UNROLL_FOR (int v = 0; v < vecs; v++)                                           \
            line[v] = v_load(b + (v / per_panel) * g->b_panel + v % per_panel * LANES); \
        UNROLL_FOR (int r = 0; r < ROWS; r++) {                                         \
            vec x = v_splat(a[r * BLOCK + (k)]);                                        \
            UNROLL_FOR (int v = 0; v < vecs; v++) sum[r * vecs + v] += x * line[v];     \
        }                                                                               \
        b += width;                                                                     \
    } while (0)

    for (; depth >= BLOCK; depth -= BLOCK, a += g->a_stride) {
        if (g->prefetch) prefetch_step(g->prefetch);
        if (ROWS > WIDE_ROWS)
            UNROLL_FOR (int r = 0; r < ROWS; r++)
                __builtin_prefetch(a + g->a_stride + r * BLOCK, 0, 3);
        UNROLL_FOR_4 (int k = 0; k < BLOCK; k++) {
            if (ROWS > WIDE_ROWS)
                UNROLL_FOR (int block = 0; block < BLOCKS; block++)
                    __builtin_prefetch(b + PREFETCH_DEPTH * width + block * BLOCK, 0, 3);
            GEMM_STEP(k);
        }
    }
    for (size_t k = 0; k < depth; k++) GEMM_STEP(k);
#undef GEMM_STEP

    if (g->times_c)
        UNROLL_FOR (int r = 0; r < ROWS; r++)
            UNROLL_FOR (int v = 0; v < vecs; v++)
                sum[r * vecs + v] *= v_load(TILE_AT(g->c, g->c_stride, BLOCK, r, v));
    UNROLL_FOR (int r = 0; r < ROWS; r++)
        UNROLL_FOR (int v = 0; v < vecs; v++)
            v_store(TILE_AT(g->c, g->c_stride, BLOCK, r, v), sum[r * vecs + v]);
#undef TILE_AT
}

#define FM_CASES_1(M, x) M(1, x)
#define FM_CASES_2(M, x) FM_CASES_1(M, x) M(2, x)
#define FM_CASES_3(M, x) FM_CASES_2(M, x) M(3, x)
#define FM_CASES_6(M, x) FM_CASES_3(M, x) M(4, x) M(5, x) M(6, x)
#define FM_CASES_8(M, x) FM_CASES_6(M, x) M(7, x) M(8, x)
#define FM_CASES_14(M, x) FM_CASES_8(M, x) M(9, x) M(10, x) M(11, x) M(12, x) M(13, x) M(14, x)
#define FM_CASES_16(M, x) FM_CASES_14(M, x) M(15, x) M(16, x)
#define FM_CASES_(n, M, x) FM_CASES_##n(M, x)
#define FM_CASES(n, M, x) FM_CASES_(n, M, x)

/* One panel of so many column blocks: all rows, in tiles of equal height, at most MOST. Moves g
 * on. */
#define DEFINE_GEMM_PANEL(BLOCKS, MOST)                       \
    static void gemm_panel_##BLOCKS(gemm *g)                  \
    {                                                         \
        size_t tiles = (g->rows + MOST - 1) / MOST;           \
        for (; tiles > 0; tiles--) {                          \
            const size_t height = g->rows / tiles;            \
            switch (height) {                                 \
                FM_CASES(MOST, GEMM_CASE, BLOCKS)             \
            }                                                 \
            g->rows -= height;                                \
            g->c += height * BLOCK;                           \
            g->a += height * BLOCK;                           \
            if (g->start) g->start += height * g->start_step; \
            if (g->slope) g->slope += height * BLOCK;         \
        }                                                     \
    }
#define GEMM_CASE(r, BLOCKS) \
    case r: gemm_tile(r, 1, BLOCKS, g); break;
DEFINE_GEMM_PANEL(1, FM_NARROW_ROWS)
#if FM_PANEL_BLOCKS == 2
DEFINE_GEMM_PANEL(2, FM_TILE_ROWS)
#else
#define gemm_panel_2 gemm_panel_1
#endif

/* Few rows would leave the adders idle: WIDE_PANELS panels at once keep them busy. */
static void gemm_wide(gemm *g)
{
#define GEMM_CASE_WIDE(r, _) \
    case r: gemm_tile(r, WIDE_PANELS, FM_PANEL_BLOCKS, g); break;
    switch (g->rows) {
        FM_CASES(FM_WIDE_ROWS, GEMM_CASE_WIDE, 0)
    }
}

INLINE size_t at_most(size_t a, size_t b) { return a < b ? a : b; }
/* The depth of a product's chunks, a multiple of BLOCK unless it is all of the depth. */
INLINE size_t chunk_depth(size_t rows, size_t depth, size_t most)
{
    if (rows * depth <= GEMM_CHUNK) return depth;
    const size_t chunks = (depth + most - 1) / most;
    return chunks == 1 ? depth : ((depth + chunks - 1) / chunks + BLOCK - 1) / BLOCK * BLOCK;
}

/* Rows of chunks so deep, of equal size. */
INLINE size_t chunk_rows(size_t rows, size_t deep)
{
    if (rows * deep <= GEMM_CHUNK) return rows;
    const size_t groups = (rows + GEMM_CHUNK / deep - 1) / (GEMM_CHUNK / deep);
    return (rows + groups - 1) / groups;
}

/* What becomes of weighted sums while they are still in a near cache: z may be kept, f is
 * applied. */
typedef struct activation {
    void (*activate)(real *a, real *slope, size_t count, real alpha); /* or NULL */
    real alpha;
    real *slope; /* laid out as c: gets f'(z); or NULL */
    real *z;     /* laid out as c: gets z; or NULL */
} activation;

/* C = f(b + A W^T) for units [first, last) of a layer, whole panels of it: c (rows, columns) from
 * a (rows, depth) and the layer's panels. */
static void gemm_forward(real *c, size_t c_stride, const real *a, size_t a_stride,
                         const real *panels, size_t depth, size_t first, size_t last, size_t rows,
                         activation f, row_prefetch *prefetch)
{
    const size_t panel_stride = (depth + 1) * PANEL, deep = chunk_depth(rows, depth, GEMM_DEPTH);
    const size_t group = chunk_rows(rows, deep);
    for (size_t r = 0; r < rows; r += group)
        for (size_t k = 0; k < depth; k += deep) {
            const bool done = k + deep >= depth;
            const size_t height = at_most(group, rows - r);
            gemm g = {.c_stride = c_stride,
                      .start_stride = k ? c_stride : BLOCK,
                      .start_step = k ? BLOCK : 0,
                      .start_panel = k ? PANEL_BLOCKS * c_stride : panel_stride,
                      .a_stride = a_stride,
                      .depth = at_most(deep, depth - k),
                      .b_panel = panel_stride,
                      .prefetch = prefetch};
            for (size_t at = first; at < last;) {
                const size_t width = at_most(PANEL, last - at),
                             from = at / BLOCK * c_stride + r * BLOCK;
                const real *panel = panels + at / PANEL * panel_stride;
                const bool wide = height <= WIDE_ROWS && last - at >= WIDE_PANELS * PANEL;
                g.c = c + from;
                g.slope = done && f.slope ? f.slope + from : NULL;
                g.start = k ? g.c : panel + depth * width;
                g.a = a + k / BLOCK * a_stride + r * BLOCK;
                g.b = panel + k * width;
                g.rows = height;
                (wide ? gemm_wide : width == PANEL ? gemm_panel_2 : gemm_panel_1)(&g);
                at += wide ? WIDE_PANELS * PANEL : width;
                const size_t end = at / BLOCK * c_stride + r * BLOCK;
                for (size_t to = from; done && to < end; to += c_stride) {
                    if (f.z) memcpy(f.z + to, c + to, height * BLOCK * sizeof(real));
                    if (f.activate)
                        f.activate(c + to, f.slope ? f.slope + to : NULL, height * BLOCK, f.alpha);
                }
            }
        }
}

#endif
