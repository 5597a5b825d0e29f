/* trainer.c -- training: epochs of steps, in slices of time between which Python may look in
 *
 * A step of every thread:  forward and backward, its share of each layer (step.c) | weights phase | barrier. Every
 * thread walks the same steps with its own copy of the position; thread 0 alone keeps the books, between barriers
 * where the others do not look.
 */
#include "fastmlp.h"
#include "net/network.h"
#include "train/norm.h"
#include "train/optimizers.h"
#include "threads/plan.h"
#include "train/step.h"

#include <math.h>
#include <string.h>

enum { NORM_CHUNK = 1 << 14 }; /* elements whose squares one thread sums, in one order */
/* Most seconds on one thread between two measurements: after each the other threads spin for some milliseconds in vain.
 * Where they were waited for in vain, what was in the way may be gone soon (the threads of a NumPy product wait for the
 * next one for 0.1 s): so many times as long as the wait, and twice as long from wait to wait. */
static const double ALONE = 0.3, ALONE_A_WAIT = 4;

/* The call of fm_trainer_run under way. */
typedef struct run {
    const fm_matrix *x, *y;
    const double *sample_weight, *rates;
    size_t n_rates, epochs;
    double deadline;
    double *losses, *norms, *step_sizes;
    atomic_int stop;
    atomic_int infinite; /* a parameter is NaN or infinity */
    fm_status status;
    fm_progress *progress;
} run;

struct fm_trainer {
    fm_net *net;
    fm_train train;
    fm_train_state state;
    fm_work *work;
    int most_threads;
    fm_distance distance; /* as last measured */
    double measured;      /* when, by fm_now() */
    double alone;         /* seconds until that is done again; 0 after a slice on several threads */
    fm_barrier barrier;
    atomic_uint *
        taken; /* (2, most_threads, taken_stride) for fm_part, used by steps in turn; NULL for one thread */
    size_t taken_stride;
    void *moment[FM_MAX_MOMENTS];
    void *average;
    int average_empty;      /* no step has gone into it yet */
    void *snapshot;         /* the parameters as the epoch began: finite */
    double first_rate;      /* of the epoch under way: some moments start at it */
    void *gradient;         /* of the storing form: clipping and norms */
    fm_squares *norm_parts; /* [ceil(n_params / NORM_CHUNK)] */
    uint32_t *order;        /* [order_rows] the epoch's order of rows */
    size_t order_rows;
    size_t position; /* rows of the epoch done */
    double epoch_loss, epoch_weight, epoch_norm,
        epoch_step_size; /* sums over the epoch under way */
    size_t epoch_steps;
    run run;
};

static size_t param_bytes(const fm_net *net) { return net->n_params * net->kernels->real_size; }

static size_t taken_bytes(const fm_trainer *trainer)
{
    return 2 * (size_t)trainer->most_threads * trainer->taken_stride * sizeof *trainer->taken;
}

fm_status fm_trainer_create(fm_trainer **made, fm_net *net, const fm_train *train,
                            fm_train_state state)
{
    if (train->batch_size == 0 || train->moments < 0 || train->moments > FM_MAX_MOMENTS ||
        train->optimizer < 0 || train->optimizer >= FM_OPTIMIZERS || train->augments < 0 ||
        train->augments > FM_MAX_AUGMENT)
        return FM_BAD_CONFIG;
    fm_trainer *trainer = fm_allocate(sizeof *trainer);
    if (!trainer) return FM_OUT_OF_MEMORY;
    trainer->net = net;
    trainer->train = *train;
    trainer->state = state;
    trainer->most_threads = fm_plan_training(net, train, train->threads);
    const size_t bytes = param_bytes(net);
    fm_status status = fm_work_create(&trainer->work, net, train->batch_size,
                                      (size_t)trainer->most_threads, FM_WORK_TRAIN);
    if (status == FM_OK && fm_input_bytes(net, trainer->work->rows) <= FM_COPIED_BYTES)
        status = fm_work_add_twin(trainer->work, net);
    bool made_all = status == FM_OK && (trainer->snapshot = fm_allocate(bytes));
    for (int i = 0; i < train->moments; i++)
        made_all = made_all && (trainer->moment[i] = fm_allocate(bytes));
    if (train->ema > 0) made_all = made_all && (trainer->average = fm_allocate(bytes));
    if (trainer->most_threads > 1) {
        trainer->taken_stride = (FM_PHASES * net->n_layers + 15) / 16 * 16; /* whole cache lines */
        made_all = made_all && (trainer->taken = fm_allocate(taken_bytes(trainer)));
    }
    trainer->average_empty = 1;
    trainer->distance = FM_NOT_MEASURED;
    if (train->clip_norm > 0 || train->record_norm)
        made_all = made_all && (trainer->gradient = fm_allocate(bytes)) &&
                   (trainer->norm_parts =
                        fm_allocate((net->n_params / NORM_CHUNK + 1) * sizeof(fm_squares)));
    if (!made_all) {
        fm_trainer_free(trainer);
        return status == FM_OK ? FM_OUT_OF_MEMORY : status;
    }
    *made = trainer;
    return FM_OK;
}

void fm_trainer_free(fm_trainer *trainer)
{
    if (!trainer) return;
    fm_work_free(trainer->work);
    for (int i = 0; i < FM_MAX_MOMENTS; i++) fm_release(trainer->moment[i]);
    fm_release(trainer->average);
    fm_release(trainer->snapshot);
    fm_release(trainer->gradient);
    fm_release(trainer->norm_parts);
    fm_release(trainer->taken);
    fm_release(trainer->order);
    fm_release(trainer);
}

void *fm_trainer_moment(fm_trainer *trainer, int index)
{
    return index >= 0 && index < FM_MAX_MOMENTS ? trainer->moment[index] : NULL;
}
void *fm_trainer_average(fm_trainer *trainer) { return trainer->average; }
void fm_trainer_adopt(fm_trainer *trainer, const fm_trainer *other)
{
    const size_t bytes = param_bytes(trainer->net);
    for (int i = 0; i < trainer->train.moments; i++)
        memcpy(trainer->moment[i], other->moment[i], bytes);
    if (!trainer->average || !fm_trainer_average_begun(other)) return;
    memcpy(trainer->average, other->average, bytes);
    trainer->average_empty = 0;
}
int fm_trainer_average_begun(const fm_trainer *trainer)
{
    return trainer->average && !trainer->average_empty;
}
void fm_trainer_average_set(fm_trainer *trainer) { trainer->average_empty = 0; }
int fm_trainer_threads(const fm_trainer *trainer) { return trainer->most_threads; }
fm_train_state fm_trainer_state(const fm_trainer *trainer) { return trainer->state; }

/* A thread's share of the parameters where all of them are gone through one by one. */
typedef struct span {
    size_t first, count;
} span;

static span share_of_params(const fm_net *net, int thread, int threads)
{
    const size_t block = net->kernels->block, blocks = net->n_params / block;
    const size_t first = fm_share(blocks, thread, threads),
                 end = fm_share(blocks, thread + 1, threads);
    return (span){first * block, (end - first) * block};
}

/* Looks through this thread's share: a step can overflow from a loss that was finite still. */
static void check_params(fm_trainer *trainer, int thread, int threads)
{
    const fm_net *net = trainer->net;
    const span s = share_of_params(net, thread, threads);
    const unsigned char *params = net->params;
    if (!net->kernels->all_finite(params + s.first * net->kernels->real_size, s.count))
        atomic_store_explicit(&trainer->run.infinite, 1, memory_order_relaxed);
}

/* Keeps the parameters as they are, for restore_finite, if they are finite. Every thread calls it. */
static void take_snapshot(fm_trainer *trainer, int thread, int threads)
{
    const fm_net *net = trainer->net;
    const size_t size = net->kernels->real_size;
    const span s = share_of_params(net, thread, threads);
    check_params(trainer, thread, threads);
    fm_barrier_wait(&trainer->barrier, threads);
    if (atomic_load_explicit(&trainer->run.infinite, memory_order_relaxed)) return;
    memcpy((unsigned char *)trainer->snapshot + s.first * size,
           (const unsigned char *)net->params + s.first * size, s.count * size);
}

static void begin_epoch(fm_trainer *trainer, uint32_t epoch)
{
    trainer->epoch_loss = trainer->epoch_weight = trainer->epoch_norm = trainer->epoch_step_size =
        0;
    trainer->epoch_steps = 0;
    if (trainer->order)
        trainer->net->kernels->shuffle(trainer->order, trainer->order_rows, trainer->train.seed,
                                       epoch);
}

static double batch_weight(const fm_batch *batch)
{
    if (!batch->sample_weight) return (double)batch->count;
    double sum = 0;
    for (size_t r = 0; r < batch->count; r++) {
        size_t at = batch->order ? batch->order[batch->first + r] : batch->first + r;
        sum += batch->sample_weight[batch->x->index ? batch->x->index[at] : at];
    }
    return sum;
}

/* The weights phase where the whole gradient is wanted before it is used: its norm, clipping, then the optimizer. */
static double stored_update(fm_trainer *trainer, const fm_work *work, const fm_part *part,
                            const fm_update *update)
{
    const int thread = part->index, threads = part->parts;
    const fm_net *net = trainer->net;
    const fm_kernels *k = net->kernels;
    const size_t chunks = (net->n_params + NORM_CHUNK - 1) / NORM_CHUNK;
    unsigned char *gradient = trainer->gradient;
    k->weights(net, work, part, update, FM_GRADIENT_STORE, gradient);
    fm_barrier_wait(&trainer->barrier, threads);
    for (size_t c = fm_share(chunks, thread, threads); c < fm_share(chunks, thread + 1, threads);
         c++) {
        const size_t first = c * NORM_CHUNK, rest = net->n_params - first;
        trainer->norm_parts[c] =
            k->sum_squares(gradient + first * k->real_size, rest < NORM_CHUNK ? rest : NORM_CHUNK);
    }
    fm_barrier_wait(&trainer->barrier, threads);
    const fm_squares squares = fm_add_squares(trainer->norm_parts, chunks);
    const double clip = trainer->train.clip_norm, factor = fm_clip_factor(squares, clip);
    const bool clips = clip > 0 && ldexp(factor, -squares.exponent) < 1;
    for (size_t c = fm_share(chunks, thread, threads); c < fm_share(chunks, thread + 1, threads);
         c++) {
        const size_t first = c * NORM_CHUNK, rest = net->n_params - first,
                     count = rest < NORM_CHUNK ? rest : NORM_CHUNK;
        if (clips) k->scale(gradient + first * k->real_size, count, factor, squares.exponent);
        k->update(net->params, gradient, first, count, update);
    }
    return fm_norm(squares);
}

/* Each unit's weights within the limit; the average, which must see that, is taken after it. */
static void limit_weights(fm_trainer *trainer, const fm_update *update, int thread, int threads)
{
    const fm_net *net = trainer->net;
    size_t panels = 0;
    for (size_t l = 1; l < net->n_layers; l++) panels += fm_panels(net, net->layer[l].n_out);
    fm_barrier_wait(&trainer->barrier, threads);
    net->kernels->max_norm(net, trainer->train.max_norm, fm_share(panels, thread, threads),
                           fm_share(panels, thread + 1, threads));
    if (!trainer->average) return;
    fm_barrier_wait(&trainer->barrier, threads);
    const span s = share_of_params(net, thread, threads);
    net->kernels->average(trainer->average, net->params, s.first, s.count, update->ema);
}

/* The counts of pieces for a step; those that the thread's own share will have in the next one are set back. */
static atomic_uint *taken_in_step(fm_trainer *trainer, uint64_t step, int thread, int threads)
{
    if (threads == 1) return NULL;
    const size_t stride = trainer->taken_stride, set = (size_t)trainer->most_threads * stride;
    atomic_uint *next = trainer->taken + (step + 1) % 2 * set + (size_t)thread * stride;
    for (size_t i = 0; i < stride; i++) atomic_store_explicit(next + i, 0, memory_order_relaxed);
    return trainer->taken + step % 2 * set;
}

static void train_body(void *context, int thread, int threads)
{
    fm_trainer *trainer = context;
    run *run = &trainer->run;
    const fm_net *net = trainer->net;
    const fm_kernels *k = net->kernels;
    const fm_train *train = &trainer->train;
    const bool copies = trainer->work->twin && k->copies_ahead(net, run->x, train);
    const size_t n = run->x->rows;
    const bool stored = trainer->gradient != NULL, limited = train->max_norm > 0;
    const double work_a_step = (double)net->n_params * (double)train->batch_size;

    size_t position = trainer->position, epochs_done = 0, updated = 0;
    uint64_t step = trainer->state.step;
    double unclocked = 0; /* multiply-adds since the clock was read */
    const fm_work *work = trainer->work;
    bool copied = false; /* the batch's inputs, during the step before */
    fm_update update = {.average = limited ? NULL : trainer->average};
    memcpy(update.moment, trainer->moment, sizeof update.moment);

    for (;;) {
        const uint32_t epoch = (uint32_t)(trainer->state.epoch + epochs_done);
        if (position == 0) {
            take_snapshot(trainer, thread, threads);
            if (thread == 0) begin_epoch(trainer, epoch);
            fm_barrier_wait(&trainer->barrier, threads);
        }
        const size_t count = n - position < train->batch_size ? n - position : train->batch_size;
        const size_t after = n - position - count;
        fm_batch batch = {.x = run->x,
                          .y = run->y,
                          .sample_weight = run->sample_weight,
                          .order = trainer->order,
                          .first = position,
                          .count = count,
                          .next_first = position + count,
                          .next_count = after < train->batch_size ? after : train->batch_size,
                          .next = copies && after > 0 ? work->twin : NULL,
                          .copied = copied,
                          .train = train,
                          .epoch = epoch};
        const double weight = batch_weight(&batch);
        batch.delta_scale = weight > 0 ? 1 / weight : 0;

        const fm_part part = {.r1 = count,
                              .index = thread,
                              .parts = threads,
                              .scratch = (size_t)thread,
                              .sparse = true,
                              .taken = taken_in_step(trainer, step, thread, threads),
                              .taken_stride = trainer->taken_stride,
                              .piece_work = fm_plan_piece()};
        fm_step_forward(net, work, &batch, &part, FM_KEEP_SLOPE, &trainer->barrier);
        fm_step_backward(net, work, &batch, &part, 1, &trainer->barrier);

        double loss = k->total(work->row_loss, run->sample_weight ? work->row_weight : NULL, count);
        if (run->sample_weight) loss *= weight; /* the rows' shares sum to 1 */
        if (!isfinite(loss)) {
            if (thread == 0) run->status = FM_DIVERGED;
            break; /* every thread sees the same sum */
        }
        const double rate =
            run->rates[run->n_rates == 1 ? 0 : position / train->batch_size % run->n_rates];
        fm_update_prepare(&update, train, rate, ++step);
        /* the average starts at the parameters after the first step that asks for it */
        if (trainer->average_empty) update.ema = 0;
        double norm = 0;
        if (stored)
            norm = stored_update(trainer, work, &part, &update);
        else
            k->weights(net, work, &part, &update, FM_GRADIENT_UPDATE, NULL);
        if (limited) limit_weights(trainer, &update, thread, threads);

        position += count;
        updated += count;
        copied = batch.next != NULL;
        if (copied) work = work->twin;
        if (thread == 0) {
            trainer->epoch_loss += loss;
            trainer->epoch_weight += weight;
            trainer->epoch_norm += norm;
            trainer->epoch_step_size += rate * norm;
            trainer->epoch_steps++;
            if (position == n) {
                run->losses[epochs_done] =
                    trainer->epoch_weight > 0 ? trainer->epoch_loss / trainer->epoch_weight : 0;
                run->step_sizes[epochs_done] =
                    trainer->epoch_step_size / (double)trainer->epoch_steps;
                run->norms[epochs_done] = trainer->epoch_norm / (double)trainer->epoch_steps;
            }
            if ((unclocked += work_a_step) >
                1e6) { /* reading the clock costs as much as a tiny step */
                unclocked = 0;
                if (fm_now() >= run->deadline)
                    atomic_store_explicit(&run->stop, 1, memory_order_relaxed);
            }
        }
        fm_barrier_wait(&trainer->barrier, threads);
        if (position == n) {
            position = 0;
            epochs_done++;
        }
        if (thread == 0) trainer->average_empty = 0; /* read again only after the next barrier */
        if (epochs_done == run->epochs || atomic_load_explicit(&run->stop, memory_order_relaxed))
            break;
    }
    if (position == 0)
        check_params(trainer, thread, threads); /* within an epoch the next loss tells */
    if (thread == 0) {
        trainer->position = position;
        trainer->state.step = step;
        trainer->state.epoch += epochs_done;
        *run->progress = (fm_progress){epochs_done, position, updated};
    }
}

/* Gives up the epoch under way: weights that are not finite go back to the start of the epoch, spoilt moments to
 * their start. */
static void restore_finite(fm_trainer *trainer)
{
    const fm_net *net = trainer->net;
    const double learning_rate = trainer->first_rate;
    if (!net->kernels->all_finite(net->params, net->n_params))
        memcpy(net->params, trainer->snapshot, param_bytes(net));
    if (trainer->average && !net->kernels->all_finite(trainer->average, net->n_params))
        memcpy(trainer->average, net->params, param_bytes(net));
    for (int i = 0; i < trainer->train.moments; i++)
        if (!net->kernels->all_finite(trainer->moment[i], net->n_params))
            net->kernels->fill(trainer->moment[i], net->n_params,
                               fm_moment_start(&trainer->train, i, learning_rate));
    trainer->position = 0;
}

/* Threads for the run under way. Which they are changes no bit of it, so the choice may follow the machine. */
static int choose_threads(fm_trainer *trainer)
{
    const fm_net *net = trainer->net;
    const fm_train *train = &trainer->train;
    const double rows =
        (double)trainer->run.x->rows * (double)trainer->run.epochs - (double)trainer->position;
    const double steps = rows / (double)train->batch_size + 1;
    const int most = fm_plan_present(trainer->most_threads);
    const double patience = fm_plan_patience(net, train, steps, most);
    const double start = fm_now();
    if (patience > 0 && start - trainer->measured >= trainer->alone) {
        trainer->distance = fm_threads_distance(most, patience);
        trainer->measured = fm_now();
        const bool in_vain = trainer->distance.barrier == FM_NOT_MEASURED.barrier;
        const double wait = ALONE_A_WAIT * (trainer->measured - start);
        trainer->alone = in_vain ? fmin(ALONE, fmax(wait, 2 * trainer->alone)) : ALONE;
    }
    const int threads = fm_plan_steps(net, train, steps, most, trainer->distance);
    if (patience > 0 && threads > 1) trainer->alone = 0;
    return threads;
}

fm_status fm_trainer_run(fm_trainer *trainer, const fm_matrix *x, const fm_matrix *y,
                         const double *sample_weight, const double *rates, size_t n_rates,
                         size_t epochs, double seconds, double *losses, double *norms,
                         double *step_sizes, fm_progress *progress)
{
    const fm_net *net = trainer->net;
    *progress = (fm_progress){0};
    if (epochs == 0) return FM_OK;
    if (x->rows == 0 || x->rows > UINT32_MAX) return FM_TOO_LARGE;
    if (trainer->train.shuffle && trainer->order_rows != x->rows) {
        fm_release(trainer->order);
        trainer->order_rows = 0;
        if (!(trainer->order = fm_allocate(x->rows * sizeof *trainer->order)))
            return FM_OUT_OF_MEMORY;
        trainer->order_rows = x->rows;
        trainer->position = 0;
    }
    if (trainer->state.step == 0)
        for (int i = 0; i < trainer->train.moments; i++)
            net->kernels->fill(trainer->moment[i], net->n_params,
                               fm_moment_start(&trainer->train, i, rates[0]));
    trainer->first_rate = rates[0];
    trainer->run = (run){.x = x,
                         .y = y,
                         .sample_weight = sample_weight,
                         .rates = rates,
                         .n_rates = n_rates,
                         .epochs = epochs,
                         .deadline = fm_now() + seconds,
                         .losses = losses,
                         .norms = norms,
                         .step_sizes = step_sizes,
                         .progress = progress};
    if (trainer->taken)
        memset(trainer->taken, 0, taken_bytes(trainer)); /* a step may have ended before its end */
    fm_parallel(choose_threads(trainer), train_body, trainer);
    if (atomic_load(&trainer->run.infinite)) trainer->run.status = FM_DIVERGED;
    if (trainer->run.status == FM_DIVERGED) restore_finite(trainer);
    return trainer->run.status;
}

void fm_trainer_restart_epoch(fm_trainer *trainer)
{
    if (trainer->position > 0)
        restore_finite(trainer); /* its last step may have spoilt the weights */
}
