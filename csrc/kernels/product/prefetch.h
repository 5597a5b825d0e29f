/* prefetch.h -- the next batch's rows are prefetched, or copied, beside a product
 *
 * They lie scattered in main memory. Prefetched in one go they would hold up the product's own
 * loads, so a few cache lines take their turn between two steps of a register tile.
 */
#ifndef FM_KERNELS_PREFETCH_H
#define FM_KERNELS_PREFETCH_H

#include "kernels/simd/vec.h"

/* A row is prefetched while the one before it is copied. */
typedef struct row_prefetch {
    const real *from; /* of the row under copy: the next block; or NULL */
    const char *next; /* the same place in the next row; NULL behind the last one */
    real *to;         /* where `from` goes */
    real *base;      /* where the next row begins in the column blocks; NULL: rows are not copied */
    size_t stride;   /* of the column blocks */
    size_t left;     /* blocks until the next row */
    size_t blocks;   /* whole ones of a row, which are copied or prefetched */
    size_t position; /* of the row after `next` */
    size_t last;     /* the position behind all of them */
    const uint32_t *order, *index;
    const char *data;
    ptrdiff_t row_stride;
    size_t lines; /* blocks at each step; 0: all is done */
    vec bad;      /* not 0 if a value that was copied is not finite */
} row_prefetch;

/* What is copied is read once, and soon: it need not go through the second-level cache. */
INLINE void prefetch_line(const row_prefetch *p, const char *line)
{
    if (p->base)
        __builtin_prefetch(line, 0, 0);
    else
        __builtin_prefetch(line, 0, 2);
}

/* Begins the next row: the one that was prefetched is copied from now on. */
INLINE void prefetch_next_row(row_prefetch *p)
{
    p->from = NULL;
    if (p->base && p->next) {
        p->from = (const real *)(const void *)p->next - p->blocks * BLOCK;
        p->to = p->base;
        p->base += BLOCK;
    }
    p->next = NULL;
    p->left = p->blocks;
    if (p->position < p->last) {
        size_t row = p->position++;
        if (p->order) row = p->order[row];
        if (p->index) row = p->index[row];
        p->next = p->data + (ptrdiff_t)row * p->row_stride;
        prefetch_line(p, p->next);
    }
    if (!p->from && !p->next) p->lines = 0;
}

/* So many blocks of the row under copy. Addresses stay in registers meanwhile: where rows are
 * few, their way through memory took a twentieth of a step. */
INLINE void copy_blocks(row_prefetch *p, size_t blocks)
{
    const real *from = p->from;
    real *to = p->to;
    vec bad = p->bad;
    for (size_t i = 0; i < blocks; i++, from += BLOCK, to += p->stride)
        for (int v = 0; v < BLOCK; v += LANES) {
            const vec x = v_load_unaligned(from + v);
            bad += x - x; /* not x * 0, which the multipliers would have to do */
            v_store(to + v, x);
        }
    p->from = from;
    p->to = to;
    p->bad = bad;
}

/* So many lines of the next row. It may begin within a line: the first one was prefetched as the
 * row began. */
INLINE void prefetch_blocks(row_prefetch *p, size_t blocks)
{
    const char *line = p->next;
    for (size_t i = 0; i < blocks; i++, line += 64) prefetch_line(p, line + 63);
    p->next = line;
}

/* One step. It is inlined beside a register tile, so it calls nothing: a call would spill the
 * tile's sums. */
INLINE void prefetch_step(row_prefetch *p)
{
    for (size_t left = p->lines; left > 0 && p->lines;) {
        const size_t blocks = left < p->left ? left : p->left;
        if (p->from) copy_blocks(p, blocks);
        if (p->next) prefetch_blocks(p, blocks);
        left -= blocks;
        p->left -= blocks;
        if (p->left == 0) prefetch_next_row(p);
    }
}

#endif
