/* work_stealing.h -- slices of a phase in chunks, which idle threads take from the others' slices
 *
 * Slices are even, cores are not: one may be slower, or busy with another program. Which thread
 * does a chunk changes no bit of the result.
 */
#ifndef FM_KERNELS_WORK_STEALING_H
#define FM_KERNELS_WORK_STEALING_H

#include "engine.h"

/* How many slices a thread goes through: all of them, or its own alone where chunks are too
 * small or too few. Little work is best left with the cores whose caches hold its data. */
static inline int slices_to_visit(const fm_part *part, size_t chunks, size_t work_of_chunk)
{
    const bool steals = part->begun && work_of_chunk >= part->piece_work;
    return steals && chunks >= 2 * (size_t)part->parts ? part->parts : 1;
}

/* Whose slice comes at this turn: first a thread's own. */
static inline int owner_at(const fm_part *part, int turn)
{
    const int owner = part->index + turn;
    return owner < part->parts ? owner : owner - part->parts;
}

/* The number of the next chunk of a slice; `next`, where only its owner works on it. */
static inline size_t claim_chunk(const fm_part *part, int slices, int owner, size_t phase,
                                 size_t next)
{
    if (slices == 1) return next;
    return atomic_fetch_add_explicit(part->begun + (size_t)owner * part->begun_stride + phase, 1,
                                     memory_order_relaxed);
}

/* `length` places of work, split evenly into slices, and these at multiples of `unit` into
 * chunks. */
typedef struct chunk_queue {
    const fm_part *part;
    size_t length, unit, phase;
    int slices, turn;
    size_t next;
} chunk_queue;

/* The next chunk, places [from, to); false: nothing is left. */
static inline bool next_chunk(chunk_queue *q, size_t *from, size_t *to)
{
    for (; q->turn < q->slices; q->turn++, q->next = 0) {
        const int owner = owner_at(q->part, q->turn);
        const size_t lo = fm_slice(q->length, owner, q->part->parts);
        const size_t hi = fm_slice(q->length, owner + 1, q->part->parts);
        const size_t chunk = claim_chunk(q->part, q->slices, owner, q->phase, q->next++);
        const size_t at = (lo / q->unit + chunk) * q->unit;
        *from = at > lo ? at : lo;
        *to = at + q->unit < hi ? at + q->unit : hi;
        if (*from < *to) return true;
    }
    return false;
}

#endif
