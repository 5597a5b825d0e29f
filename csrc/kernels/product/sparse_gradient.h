/* sparse_gradient.h -- the gradient of a panel of weights with zero skipping: many deltas are 0
 *
 * dW (units, ins) has a row of sums for each unit; lines are activations as they lie. So the sums
 * come out unit by unit and are transposed into the panel's order afterwards.
 */
#ifndef FM_KERNELS_SPARSE_GRADIENT_H
#define FM_KERNELS_SPARSE_GRADIENT_H

#include "kernels/product/sparse.h"
#include "kernels/simd/sums.h"

/* What is prefetched between the pairs of units: in one go it would hold up their loads. */
typedef struct sparse_prefetch {
    const char *line[1 + FM_MAX_MOMENTS]; /* parameters and moments, to be written */
    int arrays;
    size_t lines, per_pair; /* of each: still to prefetch; with each pair */
    const real *inputs; /* activations of the next SPARSE_STEPS rows, of the first column block */
    size_t rows;        /* of them: still to prefetch */
} sparse_prefetch;

INLINE void prefetch_beside_pair(const int BLOCKS, sparse_prefetch *prefetch, size_t stride,
                                 size_t rows)
{
    for (size_t n = at_most(prefetch->lines, prefetch->per_pair); n > 0; n--, prefetch->lines--)
        for (int i = 0; i < prefetch->arrays; i++) {
            prefetch_to_write(prefetch->line[i]);
            prefetch->line[i] += 64; /* not beside i++, which would pass the last one */
        }
    for (size_t n = at_most(prefetch->rows, rows); n > 0;
         n--, prefetch->rows--, prefetch->inputs += BLOCK)
        UNROLL_FOR (int b = 0; b < BLOCKS; b++)
            __builtin_prefetch(prefetch->inputs + (size_t)b * stride, 0, 2);
}

/* g (width, SPARSE_COLUMNS) += the sums over at most SPARSE_STEPS rows of activations a (BLOCKS,
 * rows, BLOCK) times deltas d (blocks, rows, BLOCK); or = where they are the first. */
INLINE void sparse_gradient_tile(const int BLOCKS, real *g, const uint64_t *active, size_t width,
                                 const real *d, const real *a, size_t stride, bool first,
                                 sparse_prefetch *prefetch)
{
    enum { MOST = FM_SPARSE_BLOCKS * BLOCK_VECS };
    const int vecs = BLOCKS * BLOCK_VECS;
    for (size_t u = 0; u < width; u += 2, g += 2 * SPARSE_COLUMNS) {
        const sparse_factors f = {d + u / BLOCK * stride + u % BLOCK, a, stride};
        real *next = g + SPARSE_COLUMNS;
        vec x[MOST], y[MOST], *const sum[2] = {x, y};
        prefetch_beside_pair(BLOCKS, prefetch, stride, 2 * SPARSE_STEPS / width);
        if (first)
            UNROLL_FOR (int v = 0; v < vecs; v++) x[v] = y[v] = v_zero();
        else
            UNROLL_FOR (int v = 0; v < vecs; v++)
                x[v] = v_load(g + v * LANES), y[v] = v_load(next + v * LANES);
        sum_pair(OF_UNITS, BLOCKS, sum, active + u, &f);
        UNROLL_FOR (int v = 0; v < vecs; v++)
            v_store(g + v * LANES, x[v]), v_store(next + v * LANES, y[v]);
    }
}

/* Column blocks of ins of a tile in a layer of so many ins: equal ones, SPARSE_BLOCKS or little
 * less. */
INLINE size_t sparse_tile(size_t n_in)
{
    const size_t blocks = blocks_of(n_in), tiles = (blocks + SPARSE_BLOCKS - 1) / SPARSE_BLOCKS;
    return (blocks + tiles - 1) / tiles;
}

#define SPARSE_CASE(BLOCKS, _)                                                         \
    case BLOCKS:                                                                       \
        sparse_gradient_tile(BLOCKS, g, active, width, d, a, stride, first, prefetch); \
        break;
/* sums (width, SPARSE_COLUMNS) = those over all rows for `blocks` column blocks of ins; behind them
 * is room for the levels of their tree. fetch_inputs: the activations come from far. */
static void sparse_gradient(real *sums, const uint64_t *active, size_t width, const real *d,
                            const real *a, size_t stride, size_t rows, size_t blocks,
                            bool fetch_inputs, sparse_prefetch *prefetch)
{
    _Static_assert(FM_SUM_ROWS % SPARSE_STEPS == 0, "a block of rows is made of whole words");
    sum_tree tree = {.sums = sums, .count = width * SPARSE_COLUMNS};
    real *g = sums;
    prefetch->per_pair =
        prefetch->lines / (width / 2 * ((rows + SPARSE_STEPS - 1) / SPARSE_STEPS)) + 1;
    for (size_t r = 0; r < rows; r += SPARSE_STEPS, active += width) {
        const bool first = r % FM_SUM_ROWS == 0;
        if (first && r > 0) {
            add_block(&tree);
            g = next_block(&tree);
        }
        const size_t after = r + SPARSE_STEPS < rows ? rows - r - SPARSE_STEPS : 0;
        prefetch->inputs = a + SPARSE_STEPS * BLOCK;
        prefetch->rows = fetch_inputs ? at_most(SPARSE_STEPS, after) : 0;
        switch (blocks) {
            FM_CASES(FM_SPARSE_BLOCKS, SPARSE_CASE, 0)
        }
        d += SPARSE_STEPS * BLOCK;
        a += SPARSE_STEPS * BLOCK;
    }
    add_block(&tree);
    finish_tree(&tree);
}

/* tile (BLOCK, width) = a column block of g (width, SPARSE_COLUMNS) transposed */
static void turn_gradient(real *tile, const real *g, size_t width)
{
    for (size_t u = 0; u < width; u += LANES)
        for (size_t i = 0; i < BLOCK; i += LANES)
            transpose_tile(LANES, tile + i * width + u, width, g + u * SPARSE_COLUMNS + i,
                           SPARSE_COLUMNS, LANES);
}

#endif
