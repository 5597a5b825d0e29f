/* chunks.h -- rows in chunks of a fixed size, and sums over chunks by a fixed tree
 *
 * The tree: neighbours are added in pairs, then the pairs, and so on; of what is no power of two,
 * the left branch has the largest power of two that leaves the right one something. Neither sizes
 * nor sums depend on threads or time.
 */
#ifndef FM_CHUNKS_H
#define FM_CHUNKS_H

#include "threads/poll.h"
#include "engine.h"

/* Multiply-adds that a row counts for: its weights, and its units, which take longer than those;
 * twice as many in double. */
double fm_count_row_work(const fm_net *);
/* Rows of a chunk of a training batch or a gradient, even. */
size_t fm_chunk_rows(const fm_net *);
/* Rows of a training batch that goes in one piece, gradient and update together; even. */
size_t fm_whole_rows(const fm_net *);
/* Rows that one thread takes through all layers at once, in a pass over so many. */
size_t fm_pass_rows(const fm_net *, size_t rows);
/* Chunks in a row that a thread of a pass may take: the others do not wait long for it. */
size_t fm_pass_run(const fm_net *, size_t chunk);

/* Sum of x (count,), by the tree. */
double fm_tree_sum(const double *x, size_t count);
/* Sum of the weights of positions [first, first + count), in blocks of rows and by the tree of
 * these. Polled where poll is not NULL; *stopped: it was given up, and the sum is no sum. */
double fm_weight_sum(const fm_data *, const uint32_t *order, size_t first, size_t count,
                     fm_poll *poll, bool *stopped);

#endif
