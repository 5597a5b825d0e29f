/* passes.c -- predict, loss and gradients: passes over rows that change no weight
 *
 * Rows go through in chunks of a size that does not depend on the number of threads, and sums are taken chunk by
 * chunk, so the result does not depend on it either.
 */
#include "network.h"
#include "plan.h"
#include "step.h"
#include "threads.h"

/* One pass, shared by its threads. */
typedef struct pass {
    fm_net *net;
    fm_work *work;
    const fm_matrix *x, *y;
    const double *sample_weight;
    size_t chunk; /* rows of a chunk; thread t has rows [t chunk, (t + 1) chunk) of the workspace */
    double delta_scale;
    double *partial; /* [chunks] loss of each, its rows weighted by their shares where they have weights */
    void **z, **a;   /* [L] where the values of layers 1 ... L-1 go */
    void *out;
    atomic_size_t taken; /* chunks given out to threads */
    atomic_int infinite; /* a row held NaN or infinity */
    fm_barrier barrier;
    void *gradient;
} pass;

static size_t chunk_count(const pass *p) { return (p->x->rows + p->chunk - 1) / p->chunk; }

static size_t chunk_rows(const pass *p, size_t index)
{
    const size_t rest = p->x->rows - index * p->chunk;
    return rest < p->chunk ? rest : p->chunk;
}

/* Chunks [at, end) that a thread works through. */
typedef struct chunk_run {
    size_t at, end;
} chunk_run;

/* On to the next chunk: of the run under way, or of a new one, which is the shorter the less is left (guided
 * self-scheduling, Polychronopoulos and Kuck 1987). Nobody waits long for a thread that started late or that the system
 * has slowed down. */
static bool next_chunk(pass *p, int threads, chunk_run *run)
{
    if (++run->at < run->end) return true;
    const size_t all = chunk_count(p);
    size_t length, taken = atomic_load(&p->taken);
    do {
        if (taken >= all) return false;
        length = threads > 1 ? (all - taken) / (2 * (size_t)threads) : all;
        if (length == 0) length = 1;
    } while (!atomic_compare_exchange_weak(&p->taken, &taken, taken + length));
    *run = (chunk_run){taken, taken + length};
    return true;
}

/* Chunk `index` as a batch that lies at row `at` of the workspace; whether this thread has the next one, too. */
static fm_batch chunk_batch(const pass *p, size_t index, size_t at, bool goes_on)
{
    const size_t first = index * p->chunk;
    return (fm_batch){.x = p->x,
                      .y = p->y,
                      .sample_weight = p->sample_weight,
                      .first = first - at, /* wraps as size_t does, and back when a row is added */
                      .count = chunk_rows(p, index),
                      .next_count = goes_on ? at + chunk_rows(p, index + 1) : 0,
                      .delta_scale = p->delta_scale};
}

static void *offset(const fm_net *net, void *base, size_t elements)
{
    return (unsigned char *)base + elements * net->kernels->real_size;
}

/* All of the batch's rows, from row `at` of the workspace on, by one thread. */
static fm_part chunk_part(const fm_batch *batch, size_t at, int thread)
{
    return (fm_part){.r0 = at, .r1 = at + batch->count, .parts = 1, .scratch = (size_t)thread};
}

static void chunk_forward(pass *p, const fm_batch *batch, const fm_part *part, enum fm_keep keep)
{
    if (!fm_step_forward(p->net, p->work, batch, part, keep, NULL)) atomic_store(&p->infinite, 1);
}

static void predict_body(void *context, int thread, int threads)
{
    pass *p = context;
    const fm_kernels *k = p->net->kernels;
    const size_t last = p->net->n_layers - 1, outputs = p->net->layer[last].n_out, r0 = (size_t)thread * p->chunk;
    for (chunk_run run = {0, 0}; next_chunk(p, threads, &run);) {
        fm_batch batch = chunk_batch(p, run.at, r0, run.at + 1 < run.end);
        const fm_part part = chunk_part(&batch, r0, thread);
        chunk_forward(p, &batch, &part, FM_KEEP_NOTHING);
        k->copy_rows(p->work, p->work->a[last], outputs, r0, r0 + batch.count,
                     offset(p->net, p->out, run.at * p->chunk * outputs), outputs);
    }
}

static void layers_body(void *context, int thread, int threads)
{
    pass *p = context;
    const fm_kernels *k = p->net->kernels;
    const size_t r0 = (size_t)thread * p->chunk;
    for (chunk_run run = {0, 0}; next_chunk(p, threads, &run);) {
        fm_batch batch = chunk_batch(p, run.at, r0, run.at + 1 < run.end);
        const fm_part part = chunk_part(&batch, r0, thread);
        chunk_forward(p, &batch, &part, FM_KEEP_Z);
        for (size_t l = 1; l < p->net->n_layers; l++) {
            const size_t n = p->net->layer[l].n_out, at = run.at * p->chunk * n;
            k->copy_rows(p->work, p->work->d[l], n, r0, r0 + batch.count, offset(p->net, p->z[l], at), n);
            k->copy_rows(p->work, p->work->a[l], n, r0, r0 + batch.count, offset(p->net, p->a[l], at), n);
        }
    }
}

static void loss_body(void *context, int thread, int threads)
{
    pass *p = context;
    const fm_kernels *k = p->net->kernels;
    const size_t last = p->net->n_layers - 1, outputs = p->net->layer[last].n_out, r0 = (size_t)thread * p->chunk;
    for (chunk_run run = {0, 0}; next_chunk(p, threads, &run);) {
        fm_batch batch = chunk_batch(p, run.at, r0, run.at + 1 < run.end);
        const fm_part part = chunk_part(&batch, r0, thread);
        chunk_forward(p, &batch, &part, FM_KEEP_SLOPE);
        k->output_loss(p->net, p->work, &batch, &part);
        p->partial[run.at] = k->total(offset(p->net, p->work->row_loss, r0),
                                      p->sample_weight ? offset(p->net, p->work->row_weight, r0) : NULL, batch.count);
        if (p->out)
            k->copy_rows(p->work, p->work->a[last], outputs, r0, r0 + batch.count,
                         offset(p->net, p->out, run.at * p->chunk * outputs), outputs);
    }
}

static void input_gradient_body(void *context, int thread, int threads)
{
    pass *p = context;
    const fm_kernels *k = p->net->kernels;
    const size_t r0 = (size_t)thread * p->chunk, inputs = p->net->layer[0].n_out;
    for (chunk_run run = {0, 0}; next_chunk(p, threads, &run);) {
        fm_batch batch = chunk_batch(p, run.at, r0, run.at + 1 < run.end);
        const fm_part part = chunk_part(&batch, r0, thread);
        chunk_forward(p, &batch, &part, FM_KEEP_SLOPE);
        /* the inputs are their own activation: f'(z^0) = 1 */
        for (size_t b = 0; b < fm_blocks(p->net, inputs); b++)
            k->activate(FM_ACTIVATION_identity, 0, offset(p->net, p->work->a[0], (b * p->work->rows + r0) * k->block),
                        offset(p->net, p->work->d[0], (b * p->work->rows + r0) * k->block), batch.count * k->block);
        fm_step_backward(p->net, p->work, &batch, &part, 0, NULL);
        k->copy_rows(p->work, p->work->d[0], inputs, r0, r0 + batch.count,
                     offset(p->net, p->out, run.at * p->chunk * inputs), inputs);
    }
}

/* Here a chunk is a batch, and the threads share every layer of it, then the tiles of the weights. */
static void gradient_body(void *context, int thread, int threads)
{
    pass *p = context;
    const fm_kernels *k = p->net->kernels;
    const fm_update none = {0};
    for (size_t c = 0; c < chunk_count(p); c++) {
        fm_batch batch = chunk_batch(p, c, 0, c + 1 < chunk_count(p));
        const fm_part part = {.r1 = batch.count, .index = thread, .parts = threads, .scratch = (size_t)thread};
        if (!fm_step_forward(p->net, p->work, &batch, &part, FM_KEEP_SLOPE, &p->barrier)) atomic_store(&p->infinite, 1);
        fm_step_backward(p->net, p->work, &batch, &part, 1, &p->barrier);
        k->weights(p->net, p->work, &part, &none, FM_GRADIENT_ADD, p->gradient);
        if (thread == 0)
            p->partial[c] = k->total(p->work->row_loss, p->sample_weight ? p->work->row_weight : NULL, batch.count);
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

/* Runs a body over p; `batch_rows` rows of workspace for each of `parts` sets of scratch. */
static fm_status run(pass *p, void (*body)(void *, int, int), fm_work_kind kind, size_t rows, int threads)
{
    fm_status status = fm_work_create(&p->work, p->net, rows, (size_t)threads, kind);
    if (status != FM_OK) return status;
    fm_parallel(threads, body, p);
    fm_work_free(p->work);
    return atomic_load(&p->infinite) ? FM_NOT_FINITE : FM_OK;
}

/* Runs a body that leaves partial losses, and gives their mean. */
static fm_status run_loss(pass *p, void (*body)(void *, int, int), size_t rows, int threads, double *loss)
{
    const size_t chunks = chunk_count(p);
    if (!(p->partial = fm_allocate(chunks * sizeof *p->partial))) return FM_OUT_OF_MEMORY;
    fm_status status = run(p, body, FM_WORK_TRAIN, rows, threads);
    double sum = 0;
    for (size_t c = 0; c < chunks; c++) sum += p->partial[c];
    *loss = p->sample_weight ? sum : sum / (double)p->x->rows; /* the rows' shares of the weight sum to 1 */
    fm_release(p->partial);
    return status;
}

/* The network's standing workspace, made larger where it must be, or NULL if another caller is at it. */
static fm_work *take_standing(fm_net *net, size_t rows, size_t threads)
{
    if (atomic_flag_test_and_set(&net->standing_taken)) return NULL;
    fm_work *work = net->standing;
    if (work && work->rows >= rows && work->threads >= threads) return work;
    fm_work_free(work);
    net->standing = NULL;
    if (fm_work_create(&net->standing, net, rows, threads, FM_WORK_FORWARD) == FM_OK) return net->standing;
    atomic_flag_clear(&net->standing_taken);
    return NULL;
}

fm_status fm_predict(fm_net *net, const fm_matrix *x, void *out, int threads)
{
    threads = fm_plan_pass(net, x->rows, threads);
    pass p = {.net = net, .x = x, .out = out, .chunk = fm_plan_chunk(x->rows)};
    const size_t rows = p.chunk * (size_t)threads;
    p.work = take_standing(net, rows, (size_t)threads);
    if (!p.work) return run(&p, predict_body, FM_WORK_FORWARD, rows, threads);
    fm_parallel(threads, predict_body, &p);
    atomic_flag_clear(&net->standing_taken);
    return atomic_load(&p.infinite) ? FM_NOT_FINITE : FM_OK;
}

fm_status fm_layer_values(fm_net *net, const fm_matrix *x, void **z, void **a, int threads)
{
    threads = fm_plan_pass(net, x->rows, threads);
    pass p = {.net = net, .x = x, .z = z, .a = a, .chunk = fm_plan_chunk(x->rows)};
    return run(&p, layers_body, FM_WORK_TRAIN, p.chunk * (size_t)threads, threads);
}

fm_status fm_loss(fm_net *net, const fm_matrix *x, const fm_matrix *y, const double *sample_weight, int threads,
                  double *loss, void *out)
{
    threads = fm_plan_pass(net, x->rows, threads);
    pass p = {.net = net, .x = x, .y = y, .out = out, .sample_weight = sample_weight, .chunk = fm_plan_chunk(x->rows)};
    p.delta_scale = 1 / weight_sum(x, sample_weight);
    return run_loss(&p, loss_body, p.chunk * (size_t)threads, threads, loss);
}

fm_status fm_input_gradient(fm_net *net, const fm_matrix *x, const fm_matrix *y, int threads, void *out)
{
    threads = fm_plan_pass(net, x->rows, threads);
    pass p = {.net = net, .x = x, .y = y, .out = out, .delta_scale = 1, .chunk = fm_plan_chunk(x->rows)};
    return run(&p, input_gradient_body, FM_WORK_INPUT, p.chunk * (size_t)threads, threads);
}

fm_status fm_gradient(fm_net *net, const fm_matrix *x, const fm_matrix *y, const double *sample_weight, double l1,
                      double l2, int threads, double *loss, void *gradient)
{
    enum { BATCH = 1024 }; /* rows whose activations are held at once */
    pass p = {.net = net, .x = x, .y = y, .sample_weight = sample_weight, .gradient = gradient};
    p.chunk = x->rows < BATCH ? x->rows : BATCH;
    p.delta_scale = 1 / weight_sum(x, sample_weight);
    threads = fm_plan_pass(net, p.chunk, threads);
    fm_status status = run_loss(&p, gradient_body, p.chunk, threads, loss);
    if (status == FM_OK && (l1 != 0 || l2 != 0)) net->kernels->penalty_gradient(net, gradient, l1, l2);
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
    for (size_t r = fm_share(c->matrix->rows, thread, threads); r < end && !atomic_load(&c->infinite); r += STRIDE)
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
