/* prefetch.h -- the next batch's rows, asked for or copied while a product keeps the multipliers busy
 *
 * They lie scattered in main memory. Asked for in one go they would hold up the product's own loads; so between two
 * steps of a register tile a few cache lines have their turn. A row is asked for while the one before it is copied.
 */
#ifndef FM_KERNELS_AHEAD_H
#define FM_KERNELS_AHEAD_H

#include "kernels/simd/vec.h"

typedef struct fm_ahead {
    const real *from; /* of the row under copy: the next block; or NULL */
    const char *ask;  /* the same place in the next row; NULL behind the last one */
    real *to;         /* where `from` goes */
    real *
        base; /* where the next row begins in the column blocks, or NULL: rows are asked for, not copied */
    size_t stride;   /* of the column blocks */
    size_t left;     /* blocks until the next row */
    size_t blocks;   /* of a row that are copied or asked for: the whole ones */
    size_t position; /* of the row after `ask` */
    size_t last;     /* the position behind all of them */
    const uint32_t *order, *index;
    const char *data;
    ptrdiff_t row_stride;
    size_t lines; /* blocks at each step; 0: all is done */
    vec bad;      /* not 0 if a value that was copied is not finite */
} fm_ahead;

/* What is copied is read once, and soon: it need not go by way of the second-level cache. */
INLINE void ask_ahead(const fm_ahead *ahead, const char *line)
{
    if (ahead->base)
        __builtin_prefetch(line, 0, 0);
    else
        __builtin_prefetch(line, 0, 2);
}

/* Begins the next row: what was asked for is copied from now on. */
INLINE void next_row_ahead(fm_ahead *ahead)
{
    ahead->from = NULL;
    if (ahead->base && ahead->ask) {
        ahead->from = (const real *)(const void *)ahead->ask - ahead->blocks * BLOCK;
        ahead->to = ahead->base;
        ahead->base += BLOCK;
    }
    ahead->ask = NULL;
    ahead->left = ahead->blocks;
    if (ahead->position < ahead->last) {
        size_t row = ahead->position++;
        if (ahead->order) row = ahead->order[row];
        if (ahead->index) row = ahead->index[row];
        ahead->ask = ahead->data + (ptrdiff_t)row * ahead->row_stride;
        ask_ahead(ahead, ahead->ask);
    }
    if (!ahead->from && !ahead->ask) ahead->lines = 0;
}

/* So many blocks of the row under copy. Places are kept in registers meanwhile: where rows are few, the
 * way through memory took a twentieth of a step. */
INLINE void copy_blocks(fm_ahead *ahead, size_t blocks)
{
    const real *from = ahead->from;
    real *to = ahead->to;
    vec bad = ahead->bad;
    for (size_t i = 0; i < blocks; i++, from += BLOCK, to += ahead->stride)
        for (int v = 0; v < BLOCK; v += LANES) {
            const vec x = v_load_unaligned(from + v);
            bad += x - x; /* not x * 0, which the multipliers would have to do */
            v_store(to + v, x);
        }
    ahead->from = from;
    ahead->to = to;
    ahead->bad = bad;
}

/* So many lines of the next row. It may begin within a line: its first line was asked for as the row began. */
INLINE void ask_blocks(fm_ahead *ahead, size_t blocks)
{
    const char *line = ahead->ask;
    for (size_t i = 0; i < blocks; i++, line += 64) ask_ahead(ahead, line + 63);
    ahead->ask = line;
}

/* One step. Inlined beside a register tile, so it calls nothing: a call would put the tile's sums into memory. */
INLINE void step_ahead(fm_ahead *ahead)
{
    for (size_t left = ahead->lines; left > 0 && ahead->lines;) {
        const size_t blocks = left < ahead->left ? left : ahead->left;
        if (ahead->from) copy_blocks(ahead, blocks);
        if (ahead->ask) ask_blocks(ahead, blocks);
        left -= blocks;
        ahead->left -= blocks;
        if (ahead->left == 0) next_row_ahead(ahead);
    }
}

#endif
