/* gradient.c -- the gradient of many rows: forward, backward and weights phase chunk by chunk */
#include "train/gradient.h"

#include "net/chunks.h"
#include "net/network.h"
#include "threads/plan.h"
#include "net/step.h"

#include <string.h>

static size_t count_of(size_t rows, size_t chunk) { return (rows + chunk - 1) / chunk; }

fm_status fm_gradient_sum_create(fm_gradient_sum **made, const fm_net *net, size_t rows,
                                 size_t chunk, void *result, fm_poll *poll)
{
    fm_gradient_sum *s = fm_allocate(sizeof *s);
    if (!s) return FM_OUT_OF_MEMORY;
    s->chunk = chunk;
    s->sum[0] = result;
    const size_t chunks = count_of(rows, chunk);
    fm_status status = FM_OK;
    for (int level = 1; level < FM_LEVELS && (size_t)1 << level <= chunks; level++) {
        if (status == FM_OK && !(s->sum[level] = fm_allocate(fm_param_bytes(net))))
            status = FM_OUT_OF_MEMORY;
        if (poll && fm_poll_stops(poll, (double)net->n_params)) status = FM_STOPPED;
    }
    if (status == FM_OK && chunks > FM_LEAVES && !(s->rest = fm_allocate(fm_param_bytes(net))))
        status = FM_OUT_OF_MEMORY;
    if (status == FM_OK)
        *made = s;
    else
        fm_gradient_sum_free(s);
    return status;
}

void fm_gradient_sum_free(fm_gradient_sum *s)
{
    if (!s) return;
    for (int level = 1; level < FM_LEVELS; level++) fm_release(s->sum[level]);
    fm_release(s->rest);
    fm_release(s);
}

static size_t stealing_bytes(const fm_stealing *stealing)
{
    return 2 * stealing->threads * stealing->stride * sizeof *stealing->begun;
}

fm_status fm_stealing_create(fm_stealing *made, const fm_net *net, size_t threads)
{
    enum { LINE = 64 / sizeof *made->begun }; /* counts in a cache line */
    *made = (fm_stealing){.threads = threads};
    made->stride = (FM_PHASES * net->n_layers + LINE - 1) / LINE * LINE;
    if (threads < 2) return FM_OK;
    made->begun = fm_allocate(stealing_bytes(made));
    return made->begun ? FM_OK : FM_OUT_OF_MEMORY;
}

void fm_stealing_reset(fm_stealing *stealing)
{
    if (stealing->begun) memset(stealing->begun, 0, stealing_bytes(stealing));
}

fm_part fm_part_of_step(const fm_stealing *stealing, size_t rows, unsigned turn, int thread,
                        int threads)
{
    fm_part part = {
        .r1 = rows, .index = thread, .parts = threads, .scratch = (size_t)thread, .sparse = true};
    if (threads == 1) return part;
    /* the counts of this thread's slice for the next turn are set back meanwhile */
    const size_t stride = stealing->stride, set = stealing->threads * stride;
    atomic_uint *next = stealing->begun + (turn + 1) % 2 * set + (size_t)thread * stride;
    for (size_t i = 0; i < stride; i++) atomic_store_explicit(next + i, 0, memory_order_relaxed);
    part.begun = stealing->begun + turn % 2 * set;
    part.begun_stride = stride;
    part.piece_work = fm_plan_piece();
    return part;
}

/* The lock step of a sum: what every thread has of it. */
typedef struct lockstep {
    fm_gradient_sum *sum;
    const fm_net *net;
    const fm_work *work;
    const fm_batch *whole;
    const fm_stealing *stealing;
    unsigned *turn;
    fm_gate *gate;
    int thread, threads;
} lockstep;

/* The gradient of chunk c, stored at a level or added to what is there. */
static bool sum_chunk(const lockstep *s, size_t c, const fm_update *penalties, size_t level,
                      bool adds)
{
    fm_gradient_sum *sum = s->sum;
    const fm_kernels *k = s->net->kernels;
    const size_t done = c * sum->chunk, rest = s->whole->count - done;
    fm_batch batch = *s->whole;
    batch.first += done;
    batch.count = rest < sum->chunk ? rest : sum->chunk;
    batch.next_first = batch.first + batch.count;
    batch.next_count = rest - batch.count < sum->chunk ? rest - batch.count : sum->chunk;
    batch.next = NULL;
    batch.copied = false;
    const fm_part part =
        fm_part_of_step(s->stealing, batch.count, (*s->turn)++, s->thread, s->threads);
    if (!fm_step_forward(s->net, s->work, &batch, &part, FM_KEEP_SLOPE, s->gate))
        atomic_store(&sum->infinite, 1);
    fm_step_backward(s->net, s->work, &batch, &part, 1, s->gate);
    if (s->gate->closed || !fm_gate_pass(s->gate, batch.count)) return false;
    if (s->thread == 0) {
        const void *weights = batch.data->sample_weight ? s->work->row_weight : NULL;
        const double loss = k->total(s->work->row_loss, weights, batch.count);
        sum->loss[level] = adds ? sum->loss[level] + loss : loss;
    }
    const fm_update compensated = {.moment = {sum->rest}};
    k->weights(s->net, s->work, &part, c == 0 ? penalties : &compensated,
               adds ? FM_GRADIENT_ADD : FM_GRADIENT_STORE, sum->sum[level]);
    return fm_gate_pass(s->gate, batch.count);
}

/* Each thread a slice, as long as no sum is under way. */
static void clear_rest(const lockstep *s)
{
    const fm_span span = fm_span_of_params(s->net, s->thread, s->threads);
    if (s->sum->rest)
        s->net->kernels->fill(fm_element(s->net, s->sum->rest, span.first), span.count, 0);
}

/* Level `upper` += the one above it, each thread a slice. */
static void merge(const lockstep *s, size_t upper)
{
    fm_gradient_sum *sum = s->sum;
    const fm_span span = fm_span_of_params(s->net, s->thread, s->threads);
    s->net->kernels->add(fm_element(s->net, sum->sum[upper], span.first),
                         fm_element(s->net, sum->sum[upper + 1], span.first), span.count);
    if (s->thread == 0) sum->loss[upper] += sum->loss[upper + 1];
}

bool fm_gradient_sum_run(fm_gradient_sum *sum, const fm_net *net, const fm_work *work,
                         const fm_batch *whole, const fm_update *penalties,
                         const fm_stealing *stealing, unsigned *turn, fm_barrier *barrier,
                         fm_poll *poll, int thread, int threads)
{
    fm_gate gate = {.barrier = barrier,
                    .thread = thread,
                    .threads = threads,
                    .poll = poll,
                    .stopped = sum->stopped,
                    .work = net->row_work};
    const lockstep s = {sum, net, work, whole, stealing, turn, &gate, thread, threads};
    const size_t chunks = count_of(whole->count, sum->chunk);
    const int leaves = chunks < FM_LEAVES ? (int)chunks : FM_LEAVES;
    size_t height = 0; /* sums that wait for their neighbours, a level each */
    for (int leaf = 0; leaf < leaves; leaf++) {
        const size_t first = fm_slice(chunks, leaf, leaves);
        clear_rest(&s);
        for (size_t c = first; c < fm_slice(chunks, leaf + 1, leaves); c++)
            if (!sum_chunk(&s, c, penalties, height, c > first)) return false;
        height++;
        for (int pairs = leaf; pairs & 1; pairs /= 2) merge(&s, --height - 1);
    }
    while (height > 1) merge(&s, --height - 1);
    return true;
}

/* fm_gradient under way. */
typedef struct pass {
    fm_net *net;
    fm_work *work;
    fm_gradient_sum *sum;
    fm_stealing stealing;
    fm_batch batch;
    fm_update penalties;
    fm_barrier barrier;
    fm_poll poll;
    bool stopped;
} pass;

static void gradient_body(void *context, int thread, int threads)
{
    pass *p = context;
    unsigned turn = 0;
    const bool done =
        fm_gradient_sum_run(p->sum, p->net, p->work, &p->batch, &p->penalties, &p->stealing, &turn,
                            &p->barrier, &p->poll, thread, threads);
    if (thread == 0) p->stopped = !done;
}

fm_status fm_gradient(fm_net *net, const fm_data *data, double l1, double l2, double *loss,
                      void *gradient, int threads, const fm_stop *stop)
{
    enum { MOST_ROWS = 1024 }; /* whose activations are held at once */
    if (data->rows == 0) return FM_BAD_CONFIG;
    const size_t rows = fm_chunk_rows(net), most = rows < MOST_ROWS ? rows : MOST_ROWS;
    const size_t chunk = data->rows < most ? data->rows : most;
    threads = fm_plan_pass(net, chunk, threads);
    pass p = {.net = net,
              .batch = {.data = data, .count = data->rows},
              .penalties = {.l1 = l1, .l2 = l2},
              .poll = fm_poll_start(stop)};
    p.batch.delta_scale = 1 / fm_weight_sum(data, NULL, 0, data->rows, &p.poll, &p.stopped);
    if (p.stopped) return FM_STOPPED;
    fm_status status = fm_work_create(&p.work, net, chunk, (size_t)threads, FM_WORK_TRAIN);
    if (status == FM_OK) status = fm_stealing_create(&p.stealing, net, (size_t)threads);
    if (status == FM_OK)
        status = fm_gradient_sum_create(&p.sum, net, data->rows, chunk, gradient, &p.poll);
    if (status == FM_OK) {
        fm_parallel(threads, gradient_body, &p);
        *loss = data->sample_weight ? p.sum->loss[0] : p.sum->loss[0] / (double)data->rows;
        if (atomic_load(&p.sum->infinite)) status = FM_NOT_FINITE;
        if (p.stopped) status = FM_STOPPED;
    }
    fm_gradient_sum_free(p.sum);
    fm_release(p.stealing.begun);
    fm_work_free(p.work);
    return status;
}
