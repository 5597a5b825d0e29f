/* scratch.h -- the arrays that a thread has to itself, laid over its part of the scratch memory */
#ifndef FM_KERNELS_SCRATCH_H
#define FM_KERNELS_SCRATCH_H

#include "kernels/product/sparse.h"
#include "kernels/simd/sums.h"

enum { SPARSE_GROUP = 512 }; /* rows of sums that stay in the second-level cache */

typedef struct fm_scratch {
    real *row, *spare; /* (n_0 padded,) twice: a row under conversion and augmentation */
    real *tile;        /* (FM_HELD_TILES BLOCK + 1, PANEL): gradients of column blocks of ins */
    real *panel;       /* (widest n_l padded, PANEL): a transposed panel */
    real *sums;        /* (blocks, rows of a chunk, BLOCK): of a product that is cut in its depth */
    /* of products with zero skipping: */
    uint64_t *active; /* (rows / SPARSE_STEPS, PANEL): words of a panel's deltas */
    real *row_sums;   /* (panels of all levels or rows of a group, SPARSE_COLUMNS) */
    real *lines; /* (SPARSE_STEPS, SPARSE_COLUMNS): weights that the rows of a group multiply */
} fm_scratch;

INLINE size_t words_of_panel(size_t rows)
{
    return (rows + SPARSE_STEPS - 1) / SPARSE_STEPS * PANEL;
}
/* Rows of sums for products of rows, or of units alone. */
INLINE size_t sparse_sums(size_t rows, bool of_rows)
{
    const size_t group = of_rows ? at_most((rows + 1) / 2 * 2, SPARSE_GROUP) : 0;
    const size_t units = sum_levels(rows) * PANEL;
    return group > units ? group : units;
}

/* Bytes of the arrays for zero skipping. */
static size_t sparse_scratch(size_t rows, bool of_rows)
{
    const size_t lines = of_rows ? SPARSE_STEPS : 0;
    return words_of_panel(rows) * sizeof(uint64_t) +
           (sparse_sums(rows, of_rows) + lines) * SPARSE_COLUMNS * sizeof(real);
}

INLINE fm_scratch scratch_of(const fm_net *net, const fm_work *work, size_t thread)
{
    unsigned char *bytes = work->scratch + thread * work->scratch_bytes;
    real *base = (real *)(void *)bytes;
    const size_t row = blocks_of(net->layer[0].n_out) * BLOCK,
                 tile = (FM_HELD_TILES * BLOCK + 1) * PANEL;
    real *panel = base + 2 * row + tile;
    uint64_t *active = (uint64_t *)(void *)(bytes + work->sparse_offset);
    real *row_sums = (real *)(void *)(active + words_of_panel(work->rows));
    real *lines = row_sums + sparse_sums(work->rows, true) * SPARSE_COLUMNS;
    return (fm_scratch){base,   base + row, base + 2 * row, panel, panel + work->widest * PANEL,
                        active, row_sums,   lines};
}

#endif
