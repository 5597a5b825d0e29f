/* passes.c -- predict, loss and gradients: passes over rows that change no weight
 *
 * Rows go through in chunks of a size that does not depend on the number of threads, and sums are taken chunk by
 * chunk, so the result does not depend on it either.
 */
#include "net/network.h"
#include "threads/plan.h"
#include "train/step.h"
#include "threads/threads.h"

/* One pass, shared by its threads. */
typedef struct pass {
    fm_net *net;
    fm_work *work;
    const fm_matrix *x, *y;
    const double *sample_weight;
    size_t chunk; /* rows of a chunk; thread t has rows [t chunk, (t + 1) chunk) of the workspace */
    bool copies;  /* the next chunk's inputs go to the workspace's twin while one is worked on */
    double delta_scale;
    double *
        partial; /* [chunks] loss of each, its rows weighted by their shares where they have weights */
    void **z, **a; /* [L] where the values of layers 1 ... L-1 go */
    void *out;
    atomic_size_t taken; /* chunks given out to threads */
    atomic_int infinite; /* a row held NaN or infinity */
    fm_barrier barrier;
    void *gradient, *rest; /* sums over the chunks; what was rounded off in them, as many */
} pass;

static size_t chunk_count(const pass *p) { return (p->x->rows + p->chunk - 1) / p->chunk; }

static size_t chunk_rows(const pass *p, size_t index)
{
    const size_t rest = p->x->rows - index * p->chunk;
    return rest < p->chunk ? rest : p->chunk;
}

/* One thread's way through the chunks, each a batch in the thread's rows of the workspace. */
typedef struct walk {
    pass *pass;
    int threads;
    size_t next, end; /* chunks [next, end) are taken and not begun */
    size_t index;     /* of the chunk under way */
    const fm_work *work;
    fm_batch batch;
    fm_part part;
} walk;

static walk start_walk(pass *p, int thread, int threads)
{
    return (walk){.pass = p,
                  .threads = threads,
                  .work = p->work,
                  .part = {.r0 = (size_t)thread * p->chunk, .parts = 1, .scratch = (size_t)thread}};
}

/* Takes more chunks, the fewer the less is left (guided self-scheduling, Polychronopoulos and Kuck 1987): nobody waits
 * long for a thread that started late or that the system has slowed down. The last ones are not taken before their turn. */
static void take_chunks(walk *w, bool early)
{
    pass *p = w->pass;
    const size_t all = chunk_count(p);
    size_t length, taken = atomic_load(&p->taken);
    do {
        if (taken >= all) return;
        length = w->threads > 1 ? (all - taken) / (2 * (size_t)w->threads) : all;
        if (length == 0 && early) return;
        if (length == 0) length = 1;
    } while (!atomic_compare_exchange_weak(&p->taken, &taken, taken + length));
    w->next = taken;
    w->end = taken + length;
}

/* On to the next chunk. The one after it is taken as well, for its inputs are fetched meanwhile. */
static bool next_chunk(walk *w)
{
    const pass *p = w->pass;
    const bool copied = w->batch.next != NULL;
    if (copied) w->work = w->work->twin;
    if (w->next == w->end) take_chunks(w, false);
    if (w->next == w->end) return false;
    w->index = w->next++;
    if (w->next == w->end) take_chunks(w, true);

    const bool goes_on = w->next < w->end;
    const size_t r0 = w->part.r0;
    w->batch = (fm_batch){.x = p->x,
                          .y = p->y,
                          .sample_weight = p->sample_weight,
                          .first = w->index * p->chunk -
                                   r0, /* wraps as size_t does, and back when a row is added */
                          .count = chunk_rows(p, w->index),
                          .next_first = w->next * p->chunk - r0,
                          .next_count = goes_on ? r0 + chunk_rows(p, w->next) : 0,
                          .next = goes_on && p->copies ? w->work->twin : NULL,
                          .copied = copied,
                          .delta_scale = p->delta_scale};
    w->part.r1 = r0 + w->batch.count;
    return true;
}

static void chunk_forward(walk *w, enum fm_keep keep)
{
    if (!fm_step_forward(w->pass->net, w->work, &w->batch, &w->part, keep, NULL))
        atomic_store(&w->pass->infinite, 1);
}

static void *offset(const fm_net *net, void *base, size_t elements)
{
    return (unsigned char *)base + elements * net->kernels->real_size;
}

/* The chunk's rows of an array of the workspace to their place in `out` (rows of x, columns) */
static void copy_chunk(const walk *w, const void *array, size_t columns, void *out)
{
    const pass *p = w->pass;
    p->net->kernels->copy_rows(w->work, array, columns, w->part.r0, w->part.r1,
                               offset(p->net, out, w->index * p->chunk * columns), columns);
}

static void predict_body(void *context, int thread, int threads)
{
    pass *p = context;
    const size_t last = p->net->n_layers - 1;
    for (walk w = start_walk(p, thread, threads); next_chunk(&w);) {
        chunk_forward(&w, FM_KEEP_NOTHING);
        copy_chunk(&w, w.work->a[last], p->net->layer[last].n_out, p->out);
    }
}

static void layers_body(void *context, int thread, int threads)
{
    pass *p = context;
    for (walk w = start_walk(p, thread, threads); next_chunk(&w);) {
        chunk_forward(&w, FM_KEEP_Z);
        for (size_t l = 1; l < p->net->n_layers; l++) {
            copy_chunk(&w, w.work->d[l], p->net->layer[l].n_out, p->z[l]);
            copy_chunk(&w, w.work->a[l], p->net->layer[l].n_out, p->a[l]);
        }
    }
}

static void loss_body(void *context, int thread, int threads)
{
    pass *p = context;
    const fm_kernels *k = p->net->kernels;
    const size_t last = p->net->n_layers - 1;
    for (walk w = start_walk(p, thread, threads); next_chunk(&w);) {
        chunk_forward(&w, FM_KEEP_SLOPE);
        k->output_loss(p->net, w.work, &w.batch, &w.part);
        const size_t r0 = w.part.r0;
        p->partial[w.index] = k->total(
            offset(p->net, w.work->row_loss, r0),
            p->sample_weight ? offset(p->net, w.work->row_weight, r0) : NULL, w.batch.count);
        if (p->out) copy_chunk(&w, w.work->a[last], p->net->layer[last].n_out, p->out);
    }
}

static void input_gradient_body(void *context, int thread, int threads)
{
    pass *p = context;
    const fm_kernels *k = p->net->kernels;
    const size_t inputs = p->net->layer[0].n_out;
    for (walk w = start_walk(p, thread, threads); next_chunk(&w);) {
        chunk_forward(&w, FM_KEEP_SLOPE);
        /* the inputs are their own activation: f'(z^0) = 1 */
        for (size_t b = 0; b < fm_blocks(p->net, inputs); b++) {
            const size_t at = (b * w.work->rows + w.part.r0) * k->block;
            k->activate(FM_ACTIVATION_identity, 0, offset(p->net, w.work->a[0], at),
                        offset(p->net, w.work->d[0], at), w.batch.count * k->block);
        }
        fm_step_backward(p->net, w.work, &w.batch, &w.part, 0, NULL);
        copy_chunk(&w, w.work->d[0], inputs, p->out);
    }
}

/* Here a chunk is a batch, and the threads share every layer of it, then the tiles of the weights. */
static void gradient_body(void *context, int thread, int threads)
{
    pass *p = context;
    const fm_kernels *k = p->net->kernels;
    const fm_update sum = {.moment = {p->rest}};
    for (size_t c = 0; c < chunk_count(p); c++) {
        const size_t after = c + 1 < chunk_count(p) ? chunk_rows(p, c + 1) : 0;
        const fm_batch batch = {.x = p->x,
                                .y = p->y,
                                .sample_weight = p->sample_weight,
                                .first = c * p->chunk,
                                .count = chunk_rows(p, c),
                                .next_first = (c + 1) * p->chunk,
                                .next_count = after,
                                .delta_scale = p->delta_scale};
        const fm_part part = {.r1 = batch.count,
                              .index = thread,
                              .parts = threads,
                              .scratch = (size_t)thread,
                              .sparse = true};
        if (!fm_step_forward(p->net, p->work, &batch, &part, FM_KEEP_SLOPE, &p->barrier))
            atomic_store(&p->infinite, 1);
        fm_step_backward(p->net, p->work, &batch, &part, 1, &p->barrier);
        k->weights(p->net, p->work, &part, &sum, FM_GRADIENT_ADD, p->gradient);
        if (thread == 0)
            p->partial[c] = k->total(p->work->row_loss,
                                     p->sample_weight ? p->work->row_weight : NULL, batch.count);
        fm_barrier_wait(&p->barrier, threads);
    }
}

static double weight_sum(const fm_matrix *x, const double *sample_weight)
{
    if (!sample_weight) return (double)x->rows;
    double sum = 0;
    for (size_t i = 0; i < x->rows; i++) sum += sample_weight[x->index ? x->index[i] : i];
    return sum;
}

/* Should the inputs of a chunk be copied while the one before it is worked on? A short product does not hide it. */
static bool copies_chunks(const pass *p)
{
    enum { UNITS = 64 };
    return chunk_count(p) > 1 && p->net->layer[1].n_out >= UNITS &&
           fm_input_bytes(p->net, p->chunk) <= FM_COPIED_BYTES &&
           p->net->kernels->copies_ahead(p->net, p->x, NULL);
}

/* Runs a body over p; so many rows of workspace. */
static fm_status run(pass *p, void (*body)(void *, int, int), fm_work_kind kind, size_t rows,
                     int threads)
{
    fm_status status = fm_work_create(&p->work, p->net, rows, (size_t)threads, kind);
    if (status == FM_OK && p->copies) status = fm_work_add_twin(p->work, p->net);
    if (status == FM_OK) fm_parallel(threads, body, p);
    fm_work_free(p->work);
    return status == FM_OK && atomic_load(&p->infinite) ? FM_NOT_FINITE : status;
}

/* Runs a body that walks through chunks. */
static fm_status run_walk(pass *p, void (*body)(void *, int, int), fm_work_kind kind, int threads)
{
    p->copies = copies_chunks(p);
    return run(p, body, kind, p->chunk * (size_t)threads, threads);
}

/* Runs a body that leaves partial losses, and gives their mean. */
static fm_status run_loss(pass *p, void (*body)(void *, int, int), size_t rows, int threads,
                          double *loss)
{
    const size_t chunks = chunk_count(p);
    if (!(p->partial = fm_allocate(chunks * sizeof *p->partial))) return FM_OUT_OF_MEMORY;
    fm_status status = run(p, body, FM_WORK_TRAIN, rows, threads);
    double sum = 0;
    for (size_t c = 0; c < chunks; c++) sum += p->partial[c];
    *loss = p->sample_weight
                ? sum
                : sum / (double)p->x->rows; /* the rows' shares of the weight sum to 1 */
    fm_release(p->partial);
    return status;
}

/* The network's standing workspace, made larger where it must be, or NULL if another caller is at it. */
static fm_work *take_standing(pass *p, int threads)
{
    fm_net *net = p->net;
    const size_t rows = p->chunk * (size_t)threads, sets = (size_t)threads;
    if (atomic_flag_test_and_set(&net->standing_taken)) return NULL;
    if (!net->standing || net->standing->rows < rows || net->standing->threads < sets) {
        fm_work_free(net->standing);
        net->standing = NULL;
        if (fm_work_create(&net->standing, net, rows, sets, FM_WORK_FORWARD) != FM_OK) {
            atomic_flag_clear(&net->standing_taken);
            return NULL;
        }
    }
    if (p->copies && !net->standing->twin)
        p->copies = fm_work_add_twin(net->standing, net) == FM_OK;
    return net->standing;
}

fm_status fm_predict(fm_net *net, const fm_matrix *x, void *out, int threads)
{
    threads = fm_plan_pass(net, x->rows, threads);
    pass p = {.net = net, .x = x, .out = out, .chunk = fm_plan_chunk(x->rows)};
    p.copies = copies_chunks(&p);
    p.work = take_standing(&p, threads);
    if (!p.work) return run_walk(&p, predict_body, FM_WORK_FORWARD, threads);
    fm_parallel(threads, predict_body, &p);
    atomic_flag_clear(&net->standing_taken);
    return atomic_load(&p.infinite) ? FM_NOT_FINITE : FM_OK;
}

fm_status fm_layer_values(fm_net *net, const fm_matrix *x, void **z, void **a, int threads)
{
    threads = fm_plan_pass(net, x->rows, threads);
    pass p = {.net = net, .x = x, .z = z, .a = a, .chunk = fm_plan_chunk(x->rows)};
    return run_walk(&p, layers_body, FM_WORK_TRAIN, threads);
}

fm_status fm_loss(fm_net *net, const fm_matrix *x, const fm_matrix *y, const double *sample_weight,
                  int threads, double *loss, void *out)
{
    threads = fm_plan_pass(net, x->rows, threads);
    pass p = {.net = net,
              .x = x,
              .y = y,
              .out = out,
              .sample_weight = sample_weight,
              .chunk = fm_plan_chunk(x->rows)};
    p.delta_scale = 1 / weight_sum(x, sample_weight);
    p.copies = copies_chunks(&p);
    return run_loss(&p, loss_body, p.chunk * (size_t)threads, threads, loss);
}

fm_status fm_input_gradient(fm_net *net, const fm_matrix *x, const fm_matrix *y, int threads,
                            void *out)
{
    threads = fm_plan_pass(net, x->rows, threads);
    pass p = {
        .net = net, .x = x, .y = y, .out = out, .delta_scale = 1, .chunk = fm_plan_chunk(x->rows)};
    return run_walk(&p, input_gradient_body, FM_WORK_INPUT, threads);
}

fm_status fm_gradient(fm_net *net, const fm_matrix *x, const fm_matrix *y,
                      const double *sample_weight, double l1, double l2, int threads, double *loss,
                      void *gradient)
{
    enum { BATCH = 1024 }; /* rows whose activations are held at once */
    pass p = {.net = net, .x = x, .y = y, .sample_weight = sample_weight, .gradient = gradient};
    p.chunk = x->rows < BATCH ? x->rows : BATCH;
    p.delta_scale = 1 / weight_sum(x, sample_weight);
    if (!(p.rest = fm_allocate(net->n_params * net->kernels->real_size))) return FM_OUT_OF_MEMORY;
    threads = fm_plan_pass(net, p.chunk, threads);
    fm_status status = run_loss(&p, gradient_body, p.chunk, threads, loss);
    fm_release(p.rest);
    if (status == FM_OK && (l1 != 0 || l2 != 0))
        net->kernels->penalty_gradient(net, gradient, l1, l2);
    return status;
}

/* Whether all of a matrix is finite in the network's precision. */
typedef struct check {
    const fm_kernels *kernels;
    const fm_matrix *matrix;
    atomic_int infinite;
} check;

static void check_body(void *context, int thread, int threads)
{
    enum { STRIDE = 256 }; /* rows between looks at what the others found */
    check *c = context;
    const size_t end = fm_share(c->matrix->rows, thread + 1, threads);
    for (size_t r = fm_share(c->matrix->rows, thread, threads);
         r < end && !atomic_load(&c->infinite); r += STRIDE)
        if (!c->kernels->matrix_finite(c->matrix, r, r + STRIDE < end ? r + STRIDE : end))
            atomic_store(&c->infinite, 1);
}

fm_status fm_matrix_check(const fm_net *net, const fm_matrix *matrix, int threads)
{
    enum { ELEMENTS_A_THREAD = 200000 };
    check c = {.kernels = net->kernels, .matrix = matrix};
    int paid = (int)(matrix->rows * matrix->columns / ELEMENTS_A_THREAD) + 1;
    if (threads <= 0) threads = fm_threads_default();
    fm_parallel(paid < threads ? paid : threads, check_body, &c);
    return atomic_load(&c.infinite) ? FM_NOT_FINITE : FM_OK;
}
