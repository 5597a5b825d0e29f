/* passes.c -- predict, layers, losses, gradients of inputs: passes over rows that change no weight
 *
 * Rows go through in chunks of a size that does not depend on the number of threads, and sums are
 * taken chunk by chunk (net/chunks.h), so the result does not depend on it either.
 */
#include "threads/poll.h"
#include "net/chunks.h"
#include "net/network.h"
#include "threads/plan.h"
#include "net/step.h"

/* One pass, in common to its threads. */
typedef struct pass {
    fm_net *net;
    fm_work *work;
    fm_data data;
    size_t chunk; /* rows of a chunk; thread t has rows [t chunk, (t + 1) chunk) of the workspace */
    double work_of_chunk; /* multiply-adds */
    bool copies;          /* the next chunk's inputs are copied while one is worked on */
    double delta_scale;
    double *partial;      /* [chunks] losses, of weighted rows with their fractions of the weight */
    void **z, **a;        /* [L] where the values of layers 1 ... L-1 go */
    void *out;            /* (rows, columns of what is wanted) */
    size_t run;           /* most chunks that a thread gets in one go */
    atomic_size_t given;  /* chunks that threads have got */
    atomic_int infinite;  /* a row held NaN or infinity */
    atomic_int abandoned; /* for that reason, or because the caller wants a stop */
    bool stopped;
    fm_poll poll;
} pass;

static size_t chunk_count(const pass *p) { return (p->data.rows + p->chunk - 1) / p->chunk; }

static size_t chunk_rows(const pass *p, size_t index)
{
    const size_t rest = p->data.rows - index * p->chunk;
    return rest < p->chunk ? rest : p->chunk;
}

static fm_status outcome(pass *p)
{
    if (atomic_load(&p->infinite)) return FM_NOT_FINITE;
    return p->stopped ? FM_STOPPED : FM_OK;
}

/* One thread's way through the chunks, each a batch in the thread's rows of the workspace. */
typedef struct walk {
    pass *pass;
    int thread, threads;
    size_t next, end; /* chunks [next, end) are the thread's and not begun */
    size_t index;     /* of the chunk under way */
    const fm_work *work;
    fm_batch batch;
    fm_part part;
} walk;

static walk start_walk(pass *p, int thread, int threads)
{
    return (walk){.pass = p,
                  .thread = thread,
                  .threads = threads,
                  .work = p->work,
                  .part = {.r0 = (size_t)thread * p->chunk, .parts = 1, .scratch = (size_t)thread}};
}

/* Gets more chunks, the fewer the less is left: guided self-scheduling (Polychronopoulos and Kuck
 * 1987), so nobody waits long for a slow thread. The last ones are not given before their turn. */
static void get_chunks(walk *w, bool early)
{
    pass *p = w->pass;
    const size_t all = chunk_count(p);
    size_t length, given = atomic_load(&p->given);
    do {
        if (given >= all) return;
        length = w->threads > 1 ? (all - given) / (2 * (size_t)w->threads) : all;
        if (length == 0 && early) return;
        if (length == 0) length = 1;
        if (length > p->run) length = p->run;
    } while (!atomic_compare_exchange_weak(&p->given, &given, given + length));
    w->next = given;
    w->end = given + length;
}

static bool goes_on(walk *w)
{
    pass *p = w->pass;
    if (w->thread == 0 && fm_poll_stops(&p->poll, p->work_of_chunk)) {
        p->stopped = true;
        atomic_store(&p->abandoned, 1);
    }
    return !atomic_load_explicit(&p->abandoned, memory_order_relaxed);
}

/* On to the next chunk; false: there is none, or the pass is abandoned. The chunk after it is got
 * as well, for its inputs are fetched meanwhile. */
static bool next_chunk(walk *w)
{
    const pass *p = w->pass;
    if (!goes_on(w)) return false;
    const bool copied = w->batch.next != NULL;
    if (copied) w->work = w->work->other;
    if (w->next == w->end) get_chunks(w, false);
    if (w->next == w->end) return false;
    w->index = w->next++;
    if (w->next == w->end) get_chunks(w, true);

    const bool last = w->next == w->end;
    const size_t r0 = w->part.r0;
    w->batch = (fm_batch){.data = &p->data,
                          /* wraps as size_t does, and back when a row is added */
                          .first = w->index * p->chunk - r0,
                          .count = chunk_rows(p, w->index),
                          .next_first = w->next * p->chunk - r0,
                          .next_count = last ? 0 : r0 + chunk_rows(p, w->next),
                          .next = !last && p->copies ? w->work->other : NULL,
                          .copied = copied,
                          .delta_scale = p->delta_scale};
    w->part.r1 = r0 + w->batch.count;
    return true;
}

static void chunk_forward(walk *w, enum fm_keep keep)
{
    pass *p = w->pass;
    if (fm_step_forward(p->net, w->work, &w->batch, &w->part, keep, NULL)) return;
    atomic_store(&p->infinite, 1);
    atomic_store(&p->abandoned, 1);
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
            p->data.sample_weight ? offset(p->net, w.work->row_weight, r0) : NULL, w.batch.count);
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

/* Should the inputs of a chunk be copied while the one before it is worked on? A short product does
 * not hide it. */
static bool copies_chunks(const pass *p)
{
    enum { UNITS = 64 };
    return chunk_count(p) > 1 && p->net->layer[1].n_out >= UNITS &&
           fm_input_bytes(p->net, p->chunk) <= FM_COPIED_BYTES &&
           p->net->kernels->copies_next(p->net, &p->data.x, NULL);
}

/* A pass over the inputs of at least one row, and over the targets if they are wanted; *threads
 * becomes how many it pays for. */
static pass start_pass(fm_net *net, const fm_data *data, bool targets, int *threads,
                       const fm_stop *stop)
{
    *threads = fm_plan_pass(net, data->rows, *threads);
    pass p = {.net = net, .data = *data, .chunk = fm_pass_rows(net, data->rows)};
    if (!targets) p.data.y.data = NULL;
    p.run = *threads > 1 ? fm_pass_run(net, p.chunk) : chunk_count(&p);
    p.work_of_chunk = (double)p.chunk * net->row_work;
    p.copies = copies_chunks(&p);
    p.poll = fm_poll_start(stop);
    return p;
}

/* Runs a body in a workspace of its own. */
static fm_status run(pass *p, void (*body)(void *, int, int), fm_work_kind kind, int threads)
{
    fm_status status =
        fm_work_create(&p->work, p->net, p->chunk * (size_t)threads, (size_t)threads, kind);
    if (status == FM_OK && p->copies) status = fm_work_double_inputs(p->work, p->net);
    if (status == FM_OK) fm_parallel(threads, body, p);
    fm_work_free(p->work);
    return status == FM_OK ? outcome(p) : status;
}

/* The network's own workspace, made larger where it must be; NULL if another caller is at it. */
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
    if (p->copies && !net->standing->other)
        p->copies = fm_work_double_inputs(net->standing, net) == FM_OK;
    return net->standing;
}

fm_status fm_predict(fm_net *net, const fm_data *data, void *out, int threads, const fm_stop *stop)
{
    if (data->rows == 0) return FM_OK;
    pass p = start_pass(net, data, false, &threads, stop);
    p.out = out;
    p.work = take_standing(&p, threads);
    if (!p.work) return run(&p, predict_body, FM_WORK_FORWARD, threads);
    fm_parallel(threads, predict_body, &p);
    atomic_flag_clear(&net->standing_taken);
    return outcome(&p);
}

fm_status fm_layer_values(fm_net *net, const fm_data *data, void **z, void **a, int threads,
                          const fm_stop *stop)
{
    if (data->rows == 0) return FM_OK;
    pass p = start_pass(net, data, false, &threads, stop);
    p.z = z;
    p.a = a;
    return run(&p, layers_body, FM_WORK_TRAIN, threads);
}

fm_status fm_loss(fm_net *net, const fm_data *data, double *loss, void *out, int threads,
                  const fm_stop *stop)
{
    if (data->rows == 0) return FM_BAD_CONFIG;
    pass p = start_pass(net, data, true, &threads, stop);
    const size_t chunks = chunk_count(&p);
    bool stopped;
    p.out = out;
    p.delta_scale = 1 / fm_weight_sum(data, NULL, 0, data->rows, &p.poll, &stopped);
    if (stopped) return FM_STOPPED;
    if (!(p.partial = fm_allocate(chunks * sizeof *p.partial))) return FM_OUT_OF_MEMORY;
    const fm_status status = run(&p, loss_body, FM_WORK_TRAIN, threads);
    const double sum = fm_tree_sum(p.partial, chunks);
    /* weighted rows are in it with their fractions of the whole weight, which sum to 1 */
    *loss = data->sample_weight ? sum : sum / (double)data->rows;
    fm_release(p.partial);
    return status;
}

fm_status fm_input_gradient(fm_net *net, const fm_data *data, void *out, int threads,
                            const fm_stop *stop)
{
    if (data->rows == 0) return FM_OK;
    pass p = start_pass(net, data, true, &threads, stop);
    p.out = out;
    p.delta_scale = 1;
    return run(&p, input_gradient_body, FM_WORK_INPUT, threads);
}
