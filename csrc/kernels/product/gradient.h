/* gradient.h -- the gradient of a tile of weights: activations transposed times deltas
 *
 * dW (ins, outs) = sum over the rows of the batch of a[r][in] delta[r][out]. Both factors are read
 * as they lie: a column block of activations (rows, BLOCK) and the column blocks of deltas of the
 * weights' panel. A tile of GRADIENT_ROWS ins by one panel stays in registers over a block of rows.
 */
#ifndef FM_KERNELS_GRADIENT_H
#define FM_KERNELS_GRADIENT_H

#include "kernels/product/gemm.h"
#include "kernels/simd/sums.h"

enum { GRADIENT_ROWS = FM_GRADIENT_ROWS }; /* most ins of one register tile */

/* What becomes of a tile: the gradient itself or, for plain SGD, w - rate g without a way over
 * memory. */
enum gradient_end { GRADIENT_KEEP, GRADIENT_DESCEND };

/* What later tiles need from a far cache is prefetched a line at a time between the rows of this
 * one: in one go it would hold up the tile's own loads. */
typedef struct tile_prefetch {
    const char
        *line[1 + FM_MAX_MOMENTS]; /* parameters and moments, of each as many as the tile's */
    int arrays;
    const real
        *inputs; /* if FAR_INPUTS: the next column block of activations, a line a row; or NULL */
} tile_prefetch;

/* sum (INS, vecs) += those of rows [r, end): a (rows, INS of BLOCK) times d (BLOCKS, rows,
 * BLOCK). inputs: to prefetch, a line with each row; or NULL. */
INLINE void gradient_rows(const int INS, const int BLOCKS, vec *sum, const real *a, const real *d,
                          size_t d_stride, size_t r, size_t end, const real *inputs)
{
    const int vecs = BLOCKS * BLOCK_VECS;
    UNROLL_FOR_2 (; r < end; r++) {
        vec line[FM_PANEL_BLOCKS * BLOCK_VECS];
        if (inputs) __builtin_prefetch(inputs + r * BLOCK, 0, 3);
        UNROLL_FOR (int v = 0; v < vecs; v++)
            line[v] = v_load(d + (size_t)(v / BLOCK_VECS) * d_stride + r * BLOCK +
                             v % BLOCK_VECS * LANES);
        UNROLL_FOR (int i = 0; i < INS; i++) {
            vec x = v_splat(a[r * BLOCK + i]);
            UNROLL_FOR (int v = 0; v < vecs; v++) sum[i * vecs + v] += x * line[v];
        }
    }
}

/* g (INS, BLOCKS x BLOCK) = the sum over all rows; or the weights g less rate times that.
 * `prefetch` moves on by a tile; or NULL. Tiles that descend use it only if FAR_INPUTS. */
INLINE void gradient_tile(const int INS, const int BLOCKS, const enum gradient_end END,
                          const bool FAR_INPUTS, real *g, const real *a, const real *d,
                          size_t d_stride, size_t rows, real rate, tile_prefetch *prefetch)
{
    enum { MOST = FM_GRADIENT_ROWS * FM_PANEL_BLOCKS * BLOCK_VECS };
    const int vecs = BLOCKS * BLOCK_VECS;
    vec sum[MOST]; /* (INS, vecs) */
    UNROLL_FOR (int i = 0; i < INS * vecs; i++) sum[i] = v_zero();
    const size_t lines = INS * BLOCKS; /* of the tile's weights */
    const int arrays = (FAR_INPUTS || END == GRADIENT_KEEP) && prefetch ? prefetch->arrays : 0;
    const real *inputs = FAR_INPUTS && prefetch ? prefetch->inputs : NULL;
    const size_t run = arrays ? (rows + lines - 1) / lines : rows;
    for (size_t r = 0, fetched = 0; r < rows; r += run, fetched += 64) {
        for (int i = 0; i < arrays; i++) prefetch_to_write(prefetch->line[i] + fetched);
        gradient_rows(INS, BLOCKS, sum, a, d, d_stride, r, r + run < rows ? r + run : rows, inputs);
    }
    for (int i = 0; i < arrays; i++) prefetch->line[i] += 64 * lines;
    if (inputs) prefetch->inputs = NULL; /* a block's first tile has prefetched all of the next */
    UNROLL_FOR (int i = 0; i < INS * vecs; i++) {
        if (END == GRADIENT_DESCEND) sum[i] = v_load(g + i * LANES) - rate * sum[i];
        v_store(g + i * LANES, sum[i]);
    }
}

/* The gradient of the ins of a column block, at most BLOCK, in tiles of equal height. */
INLINE void gradient_tiles(const int BLOCKS, const enum gradient_end END, const bool FAR_INPUTS,
                           real *g, const real *a, const real *d, size_t d_stride, size_t rows,
                           size_t ins, real rate, tile_prefetch *prefetch)
{
#define GRADIENT_CASE(height, _)                                                                 \
    case height:                                                                                 \
        gradient_tile(height, BLOCKS, END, FAR_INPUTS, g, a, d, d_stride, rows, rate, prefetch); \
        break;
    for (size_t tiles = (ins + GRADIENT_ROWS - 1) / GRADIENT_ROWS; tiles > 0; tiles--) {
        const size_t height = ins / tiles;
        switch (height) {
            FM_CASES(FM_GRADIENT_ROWS, GRADIENT_CASE, 0)
        }
        ins -= height;
        g += height * BLOCKS * BLOCK;
        a += height;
    }
}

#define DEFINE_GRADIENT_BLOCK(name, BLOCKS, END, FAR_INPUTS)                                   \
    static void name(real *g, const real *a, const real *d, size_t d_stride, size_t rows,      \
                     size_t ins, real rate, tile_prefetch *prefetch)                           \
    {                                                                                          \
        gradient_tiles(BLOCKS, END, FAR_INPUTS, g, a, d, d_stride, rows, ins, rate, prefetch); \
    }
DEFINE_GRADIENT_BLOCK(keep_1, 1, GRADIENT_KEEP, false)
DEFINE_GRADIENT_BLOCK(keep_1_far, 1, GRADIENT_KEEP, true)
DEFINE_GRADIENT_BLOCK(descend_1, 1, GRADIENT_DESCEND, false)
DEFINE_GRADIENT_BLOCK(descend_1_far, 1, GRADIENT_DESCEND, true)
#if FM_PANEL_BLOCKS == 2
DEFINE_GRADIENT_BLOCK(keep_2, 2, GRADIENT_KEEP, false)
DEFINE_GRADIENT_BLOCK(keep_2_far, 2, GRADIENT_KEEP, true)
DEFINE_GRADIENT_BLOCK(descend_2, 2, GRADIENT_DESCEND, false)
DEFINE_GRADIENT_BLOCK(descend_2_far, 2, GRADIENT_DESCEND, true)
#else
#define keep_2 keep_1
#define keep_2_far keep_1_far
#define descend_2 descend_1
#define descend_2_far descend_1_far
#endif

/* The gradient of a column block over one block of rows, by what becomes of it and by where the
 * activations lie */
INLINE void sum_gradient_block(bool wide, bool descends, bool far_inputs, real *g, const real *a,
                               const real *d, size_t d_stride, size_t rows, size_t ins, real rate,
                               tile_prefetch *prefetch)
{
    if (far_inputs && descends)
        (wide ? descend_2_far : descend_1_far)(g, a, d, d_stride, rows, ins, rate, prefetch);
    else if (far_inputs)
        (wide ? keep_2_far : keep_1_far)(g, a, d, d_stride, rows, ins, rate, prefetch);
    else if (descends)
        (wide ? descend_2 : descend_1)(g, a, d, d_stride, rows, ins, rate, prefetch);
    else
        (wide ? keep_2 : keep_1)(g, a, d, d_stride, rows, ins, rate, prefetch);
}

/* The same over more rows than a block has. */
static NOINLINE void sum_gradient_blocks(bool wide, bool descends, bool far_inputs, real *g,
                                         const real *a, const real *d, size_t d_stride, size_t rows,
                                         size_t ins, real rate, tile_prefetch *prefetch)
{
    real sums[FM_SUM_LEVELS * BLOCK * PANEL] __attribute__((aligned(64)));
    sum_tree tree = {.sums = sums, .count = ins * (wide ? PANEL : BLOCK)};
    const real *inputs = prefetch ? prefetch->inputs : NULL;
    for (size_t r = 0; r < rows; r += FM_SUM_ROWS) {
        tile_prefetch later = {.inputs = inputs ? inputs + r * BLOCK : NULL};
        sum_gradient_block(wide, false, far_inputs, next_block(&tree), a + r * BLOCK, d + r * BLOCK,
                           d_stride, at_most(FM_SUM_ROWS, rows - r), ins, rate,
                           r == 0 ? prefetch : &later);
        add_block(&tree);
    }
    finish_tree(&tree);
    FOR_VECTORS (i, tree.count) {
        const vec sum = v_load(sums + i);
        v_store(g + i, descends ? v_load(g + i) - rate * sum : sum);
    }
}

INLINE void sum_gradient(bool wide, bool descends, bool far_inputs, real *g, const real *a,
                         const real *d, size_t d_stride, size_t rows, size_t ins, real rate,
                         tile_prefetch *prefetch)
{
    if (rows <= FM_SUM_ROWS)
        sum_gradient_block(wide, descends, far_inputs, g, a, d, d_stride, rows, ins, rate,
                           prefetch);
    else
        sum_gradient_blocks(wide, descends, far_inputs, g, a, d, d_stride, rows, ins, rate,
                            prefetch);
}

#endif
