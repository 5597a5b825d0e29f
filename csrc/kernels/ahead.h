/* ahead.h -- the next batch's rows, asked for or copied while a product keeps the multipliers busy
 *
 * They lie scattered in main memory. Asked for in one go they would hold up the product's own loads; so between two
 * steps of a register tile a few cache lines have their turn. A row is asked for while the one before it is copied.
 */
#ifndef FM_KERNELS_AHEAD_H
#define FM_KERNELS_AHEAD_H

#include "vec.h"

typedef struct fm_ahead {
    const real *from; /* of the row under copy: the next block; or NULL */
    const char *ask;  /* the same place in the next row; NULL behind the last one */
    real *to;         /* where `from` goes */
    real *base;       /* where the next row begins in the column blocks, or NULL: rows are asked for, not copied */
    size_t stride;    /* of the column blocks */
    size_t left;      /* blocks until the next row */
    size_t blocks;    /* of a row that are copied or asked for: the whole ones */
    size_t position;  /* of the row after `ask` */
    size_t last;      /* the position behind all of them */
    const uint32_t *order, *index;
    const char *data;
    ptrdiff_t row_stride;
    int lines; /* blocks at each step; 0: all is done */
    vec bad;   /* not 0 if a value that was copied is not finite */
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

/* One step. Inlined beside a register tile, so it calls nothing: a call would put the tile's sums into memory. */
INLINE void step_ahead(fm_ahead *ahead)
{
    for (int i = 0; i < ahead->lines; i++) {
        if (ahead->from) {
    UNROLL for (int v = 0; v < BLOCK; v += LANES)
            {
                const vec x = v_load_unaligned(ahead->from + v);
                ahead->bad += x - x; /* not x * 0, which the multipliers would have to do */
                v_store(ahead->to + v, x);
            }
            ahead->from += BLOCK;
            ahead->to += ahead->stride;
        }
        if (ahead->ask) { /* a row may begin within a line: its first line was asked for as the row began */
            ahead->ask += 64;
            ask_ahead(ahead, ahead->ask - 1);
        }
        if (--ahead->left == 0) next_row_ahead(ahead);
    }
}

#endif
