/* sparse.h -- products with zero skipping: one factor has many zeros, left by ReLU or dropout
 *
 * Two rows of sums are taken at a time: two units in a gradient, two rows of the batch in the other
 * products. A word of bits says for each in which of up to 64 steps its scalar is not 0.
 *
 * The steps of both come first, as they share the loads of the other factor's line; then those of
 * one alone. This order follows from the values and the pairs alone, so a sum has the same bits on
 * any thread.
 */
#ifndef FM_KERNELS_SPARSE_H
#define FM_KERNELS_SPARSE_H

#include "kernels/product/layout.h"

enum {
    SPARSE_BLOCKS = FM_SPARSE_BLOCKS, /* column blocks of a row of sums: two stay in registers */
    SPARSE_COLUMNS = SPARSE_BLOCKS * BLOCK, /* columns of it */
    SPARSE_STEPS = 64,   /* bits of a word; so many lines stay in the first-level cache */
    SPARSE_PERCENT = 75, /* of scalars not 0: with more, the dense product takes less time */
};

/* Bit r of active[u]: row r of column u of d (rows, BLOCK) is not 0. At most SPARSE_STEPS rows. */
static void find_active(uint64_t active[BLOCK], const real *d, size_t rows)
{
    enum { BITS = 8 * sizeof(real_bits), WORDS = SPARSE_STEPS / BITS };
    for (int v = 0; v < BLOCK; v += LANES) {
        real_bits lane[WORDS][LANES];
        for (size_t w = 0; w < WORDS; w++) {
            vbits word = {0};
            for (size_t r = w * BITS; r < at_most(rows, (w + 1) * BITS); r++)
                word |= (v_load(d + r * BLOCK + v) != 0) & (real_bits)((uint64_t)1 << r % BITS);
            memcpy(lane[w], &word, sizeof word);
        }
        for (int i = 0; i < LANES; i++) {
            active[v + i] = 0;
            for (int w = 0; w < WORDS; w++)
                active[v + i] |= ((uint64_t)lane[w][i] & (UINT64_MAX >> (64 - BITS))) << w * BITS;
        }
    }
}

/* The words of a panel's deltas, active (ceil(rows / SPARSE_STEPS), width). False: too few
 * deltas are 0. */
static bool find_active_panel(uint64_t *active, const real *d, size_t d_stride, size_t rows,
                              size_t width)
{
    size_t count = 0;
    for (size_t r = 0; r < rows; r += SPARSE_STEPS, active += width) {
        for (size_t u = 0; u < width; u += BLOCK)
            find_active(active + u, d + u / BLOCK * d_stride + r * BLOCK,
                        at_most(SPARSE_STEPS, rows - r));
        for (size_t u = 0; u < width; u++) count += (size_t)__builtin_popcountll(active[u]);
    }
    return count * 100 <= rows * width * SPARSE_PERCENT;
}

/* What a step multiplies: a scalar of each of the pair, and a line. */
typedef struct sparse_factors {
    const real *scalar, *line;
    size_t stride; /* from one column block to the next, of what lies in column blocks */
} sparse_factors;

/* OF_UNITS: deltas (rows, BLOCK) times activations (BLOCKS, rows, BLOCK); a step: a row.
 * OF_ROWS: values (blocks, rows, BLOCK) times weights (columns, BLOCKS x BLOCK); a step: a unit. */
enum sparse_kind { OF_UNITS, OF_ROWS };

INLINE vec scalar_at(const enum sparse_kind KIND, const sparse_factors *f, size_t step, int which)
{
    return v_splat(
        KIND == OF_UNITS
            ? f->scalar[step * BLOCK + (size_t)which]
            : f->scalar[step / BLOCK * f->stride + step % BLOCK + (size_t)which * BLOCK]);
}
INLINE vec line_at(const enum sparse_kind KIND, const int BLOCKS, const sparse_factors *f,
                   size_t step, int v)
{
    return v_load(KIND == OF_UNITS ? f->line + step * BLOCK + (size_t)(v / BLOCK_VECS) * f->stride +
                                         v % BLOCK_VECS * LANES
                                   : f->line + step * (size_t)BLOCKS * BLOCK + v * LANES);
}

/* sum[i] (BLOCKS x BLOCK) += scalar i times the line, for each step that `active` names */
INLINE void sum_both(const enum sparse_kind KIND, const int BLOCKS, vec *const sum[2],
                     uint64_t active, const sparse_factors *f)
{
    for (; active; active &= active - 1) {
        const size_t step = (size_t)__builtin_ctzll(active);
        const vec x = scalar_at(KIND, f, step, 0), y = scalar_at(KIND, f, step, 1);
        UNROLL_FOR (int v = 0; v < BLOCKS * BLOCK_VECS; v++) {
            const vec line = v_held(line_at(KIND, BLOCKS, f, step, v));
            sum[0][v] += x * line;
            sum[1][v] += y * line;
        }
    }
}

/* The same for one of the pair in one step, the first that `active` names. */
INLINE void sum_one(const enum sparse_kind KIND, const int BLOCKS, vec *sum, uint64_t active,
                    int which, const sparse_factors *f)
{
    const size_t step = (size_t)__builtin_ctzll(active);
    const vec x = scalar_at(KIND, f, step, which);
    UNROLL_FOR (int v = 0; v < BLOCKS * BLOCK_VECS; v++)
        sum[v] += x * line_at(KIND, BLOCKS, f, step, v);
}

/* sum[i] += over the steps of active[i]: those of both, then one of either in turn, as additions
 * to one sum wait for one another, then the rest. */
INLINE void sum_pair(const enum sparse_kind KIND, const int BLOCKS, vec *const sum[2],
                     const uint64_t active[2], const sparse_factors *f)
{
    uint64_t one = active[0] & ~active[1], other = active[1] & ~active[0];
    sum_both(KIND, BLOCKS, sum, active[0] & active[1], f);
    for (; one && other; one &= one - 1, other &= other - 1) {
        sum_one(KIND, BLOCKS, sum[0], one, 0, f);
        sum_one(KIND, BLOCKS, sum[1], other, 1, f);
    }
    for (; one; one &= one - 1) sum_one(KIND, BLOCKS, sum[0], one, 0, f);
    for (; other; other &= other - 1) sum_one(KIND, BLOCKS, sum[1], other, 1, f);
}

#endif
