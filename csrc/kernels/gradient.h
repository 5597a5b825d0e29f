/* gradient.h -- the gradient of a tile of weights: activations transposed times deltas
 *
 * dW (ins, outs) = sum over the rows of the batch of a[r][in] delta[r][out]. Both factors are read as the
 * rows phase wrote them: one column block of activations (rows, BLOCK) and the column blocks of deltas that
 * lie in the weights' panel. A tile of GRADIENT_ROWS ins by one panel stays in registers over the rows.
 */
#ifndef FM_KERNELS_GRADIENT_H
#define FM_KERNELS_GRADIENT_H

#include "gemm.h"

enum { GRADIENT_ROWS = FM_GRADIENT_ROWS }; /* most ins of one register tile */

/* What becomes of a tile: the gradient itself, or, for plain SGD, w - rate g without a way over memory. */
enum gradient_end { GRADIENT_KEEP, GRADIENT_DESCEND };

/* Parameters and moments of a later tile, asked for while this one is summed: of each array as much as the tile has
 * weights, a line at a time between the rows. In one go they would hold up the tile's own loads. */
typedef struct tile_asks {
    const char *line[1 + FM_MAX_MOMENTS];
    int arrays;
} tile_asks;

/* g (INS, BLOCKS x BLOCK) = sum over rows of a (rows, INS of BLOCK) and d (BLOCKS, rows, BLOCK); or the weights g
 * less rate times that. asks: moves on by a tile; or NULL, as always where it descends. */
INLINE void gradient_tile(const int INS, const int BLOCKS, const enum gradient_end END, real *g, const real *a,
                          const real *d, size_t d_stride, size_t rows, real rate, tile_asks *asks)
{
    enum { MOST = FM_GRADIENT_ROWS * FM_PANEL_BLOCKS * BLOCK_VECS };
    const int vecs = BLOCKS * BLOCK_VECS;
    vec sum[MOST]; /* (INS, vecs) */
    UNROLL for (int i = 0; i < INS * vecs; i++) sum[i] = v_zero();
    const size_t lines = INS * BLOCKS; /* of the tile's weights */
    const int arrays = END == GRADIENT_KEEP && asks ? asks->arrays : 0;
    const size_t run = arrays ? (rows + lines - 1) / lines : rows;
    for (size_t r = 0, asked = 0; r < rows; asked += 64) {
        for (int i = 0; i < arrays; i++) prefetch_to_write(asks->line[i] + asked);
        const size_t end = r + run < rows ? r + run : rows;
        _Pragma("GCC unroll 2") for (; r < end; r++)
        {
            vec line[FM_PANEL_BLOCKS * BLOCK_VECS];
            UNROLL for (int v = 0; v < vecs; v++) line[v] =
                v_load(d + (size_t)(v / BLOCK_VECS) * d_stride + r * BLOCK + v % BLOCK_VECS * LANES);
            UNROLL for (int i = 0; i < INS; i++)
            {
                vec x = v_splat(a[r * BLOCK + i]);
                UNROLL for (int v = 0; v < vecs; v++) sum[i * vecs + v] += x * line[v];
            }
        }
    }
    for (int i = 0; i < arrays; i++) asks->line[i] += 64 * lines;
    UNROLL for (int i = 0; i < INS * vecs; i++)
    {
        if (END == GRADIENT_DESCEND) sum[i] = v_load(g + i * LANES) - rate * sum[i];
        v_store(g + i * LANES, sum[i]);
    }
}

/* The gradient of the ins of a column block, BLOCK or what a layer's last block has, in tiles of equal height. */
#define GRADIENT_CASE_KEEP(ins, BLOCKS) \
    case ins: gradient_tile(ins, BLOCKS, GRADIENT_KEEP, g, a, d, d_stride, rows, rate, asks); break;
#define GRADIENT_CASE_DESCEND(ins, BLOCKS) \
    case ins: gradient_tile(ins, BLOCKS, GRADIENT_DESCEND, g, a, d, d_stride, rows, rate, asks); break;
#define DEFINE_GRADIENT_BLOCK(name, BLOCKS, END)                                                                 \
    static void name(real *g, const real *a, const real *d, size_t d_stride, size_t rows, size_t ins, real rate, \
                     tile_asks *asks)                                                                            \
    {                                                                                                            \
        for (size_t tiles = (ins + GRADIENT_ROWS - 1) / GRADIENT_ROWS; tiles > 0; tiles--) {                     \
            const size_t height = ins / tiles;                                                                   \
            switch (height) { FM_CASES(FM_GRADIENT_ROWS, GRADIENT_CASE_##END, BLOCKS) }                          \
            ins -= height;                                                                                       \
            g += height * BLOCKS * BLOCK;                                                                        \
            a += height;                                                                                         \
        }                                                                                                        \
    }
DEFINE_GRADIENT_BLOCK(gradient_block_1, 1, KEEP)
DEFINE_GRADIENT_BLOCK(descend_block_1, 1, DESCEND)
#if FM_PANEL_BLOCKS == 2
DEFINE_GRADIENT_BLOCK(gradient_block_2, 2, KEEP)
DEFINE_GRADIENT_BLOCK(descend_block_2, 2, DESCEND)
#else
#define gradient_block_2 gradient_block_1
#define descend_block_2 descend_block_1
#endif

#endif
