/* sums.h -- sums over the rows of a batch: rows in blocks of one size, blocks by a binary tree
 *
 * In one chain of a million additions float32 loses two digits. A tree of blocks (pairwise
 * summation) depends on the number of rows alone, so its bits do not depend on who adds which
 * block.
 */
#ifndef FM_KERNELS_SUMS_H
#define FM_KERNELS_SUMS_H

#include "engine.h"
#include "kernels/simd/vec.h"

/* Sums of so many numbers at once: `held` partial sums of 2^i blocks each, the largest first. */
typedef struct sum_tree {
    real *sums; /* (levels, count) */
    size_t count, held, blocks;
} sum_tree;

/* Most partial sums of a batch of so many rows, that of the block under way included */
INLINE size_t sum_levels(size_t rows)
{
    size_t levels = 1;
    for (size_t last = rows ? (rows - 1) / FM_SUM_ROWS : 0; last > 0; last /= 2) levels++;
    return levels;
}

/* Where the sums of the next block go. */
INLINE real *next_block(const sum_tree *tree) { return tree->sums + tree->held * tree->count; }

/* Adds the last of the partial sums to the one before it. */
INLINE void join_last(sum_tree *tree)
{
    real *last = tree->sums + --tree->held * tree->count, *to = last - tree->count;
    FOR_VECTORS (i, tree->count) v_store(to + i, v_load(to + i) + v_load(last + i));
}

/* The sums of a block have been written. */
INLINE void add_block(sum_tree *tree)
{
    tree->held++;
    for (size_t n = tree->blocks++; n & 1; n >>= 1) join_last(tree);
}

/* All blocks have been added: their sum is the first of tree->sums. */
INLINE void finish_tree(sum_tree *tree)
{
    while (tree->held > 1) join_last(tree);
}

#endif
