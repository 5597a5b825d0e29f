/* check.c -- whether all of a matrix is finite in the network's precision */
#include "base/poll.h"
#include "engine.h"
#include "threads/plan.h"

enum { BLOCK_ELEMENTS = 1 << 16 };

typedef struct check {
    const fm_kernels *kernels;
    const fm_matrix *matrix;
    size_t block;       /* rows that a thread looks at in one go */
    atomic_size_t next; /* first row that no thread has begun */
    atomic_int infinite, stopped;
    fm_poll poll;
} check;

static void check_body(void *context, int thread, int threads)
{
    check *c = context;
    const size_t rows = c->matrix->rows;
    (void)threads;
    while (!atomic_load(&c->infinite) && !atomic_load(&c->stopped)) {
        const size_t r0 = atomic_fetch_add(&c->next, c->block);
        if (r0 >= rows) return;
        if (!c->kernels->matrix_finite(c->matrix, r0, rows - r0 < c->block ? rows : r0 + c->block))
            atomic_store(&c->infinite, 1);
        if (thread == 0 && fm_poll_stops(&c->poll, BLOCK_ELEMENTS)) atomic_store(&c->stopped, 1);
    }
}

fm_status fm_matrix_check(const fm_net *net, const fm_matrix *matrix, int threads,
                          const fm_stop *stop)
{
    const size_t block = BLOCK_ELEMENTS / (matrix->columns + 1) + 1;
    check c = {
        .kernels = net->kernels, .matrix = matrix, .block = block, .poll = fm_poll_start(stop)};
    fm_parallel(fm_plan_check(matrix->rows * matrix->columns, threads), check_body, &c);
    if (atomic_load(&c.infinite)) return FM_NOT_FINITE;
    return atomic_load(&c.stopped) ? FM_STOPPED : FM_OK;
}
