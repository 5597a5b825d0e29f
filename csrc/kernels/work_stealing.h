/* work_stealing.h -- shares of a phase in pieces that other threads may take
 *
 * Shares are even, cores are not: one is slower by its kind, or because it works for somebody else. So a thread that is done
 * with its own share goes on with pieces of the others' that are not begun. Which thread does a piece changes no bit.
 */
#ifndef FM_KERNELS_PIECES_H
#define FM_KERNELS_PIECES_H

#include "engine.h"

/* How many shares a thread goes through: all of them, or its own alone where a piece would be too small, or there are too
 * few of them: what there is little of is best left with the cores whose caches have it. */
static inline int shares_to_take(const fm_part *part, size_t pieces, size_t work_a_piece)
{
    return part->begun && work_a_piece >= part->piece_work && pieces >= 2 * (size_t)part->parts
               ? part->parts
               : 1;
}

/* Whose share comes at this turn: first a thread's own. */
static inline int owner_at(const fm_part *part, int turn)
{
    const int owner = part->index + turn;
    return owner < part->parts ? owner : owner - part->parts;
}

/* The next piece of that share, where `shares` are gone through; `next` is it where nobody else takes any. */
static inline size_t take_piece(const fm_part *part, int shares, int owner, size_t phase,
                                size_t next)
{
    if (shares == 1) return next;
    return atomic_fetch_add_explicit(part->begun + (size_t)owner * part->begun_stride + phase, 1,
                                     memory_order_relaxed);
}

/* A line of work that is split evenly into shares, and these at multiples of `unit` into pieces. */
typedef struct pieces {
    const fm_part *part;
    size_t line, unit, phase;
    int shares, turn;
    size_t next;
} pieces;

/* The next piece, places [from, to) of the line; false: nothing is left. */
static inline bool next_piece(pieces *p, size_t *from, size_t *to)
{
    for (; p->turn < p->shares; p->turn++, p->next = 0) {
        const int owner = owner_at(p->part, p->turn);
        const size_t lo = fm_slice(p->line, owner, p->part->parts),
                     hi = fm_slice(p->line, owner + 1, p->part->parts);
        const size_t at =
            (lo / p->unit + take_piece(p->part, p->shares, owner, p->phase, p->next++)) * p->unit;
        *from = at > lo ? at : lo;
        *to = at + p->unit < hi ? at + p->unit : hi;
        if (*from < *to) return true;
    }
    return false;
}

#endif
