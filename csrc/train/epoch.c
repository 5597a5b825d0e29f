/* epoch.c -- the loop over batches: next batch, step, bookkeeping, clock
 *
 * Every thread walks the same steps with its own copy of the position. Thread 0 alone does the
 * bookkeeping, between barriers where the others do not look.
 */
#include "net/chunks.h"
#include "threads/clock.h"
#include "train/optimizers.h"
#include "net/step.h"
#include "train/trainer.h"
#include "train/update.h"

#include <math.h>
#include <string.h>

/* Where a thread is in the run. */
typedef struct walk {
    fm_trainer *trainer;
    int thread, threads;
    size_t position; /* rows of the epoch done */
    size_t epochs_done;
    uint64_t step; /* steps done by the optimizer */
    unsigned turn; /* of work stealing */
    const fm_work *work;
    bool copies;        /* the next batch's inputs are copied during a step */
    double work_a_step; /* multiply-adds */
    double unclocked;   /* those since the clock was read */
    fm_gate gate;       /* of batches in one piece */
    fm_batch batch;     /* under way, and: */
    double weight, loss, rate, norm;
    fm_update update;
} walk;

static walk start_walk(fm_trainer *trainer, int thread, int threads)
{
    const fm_net *net = trainer->net;
    walk w = {.trainer = trainer,
              .thread = thread,
              .threads = threads,
              .position = trainer->epoch.position,
              .step = trainer->state.step,
              .work = trainer->work,
              .work_a_step = (double)net->n_params * (double)trainer->train.batch_size};
    w.copies = trainer->work->other &&
               net->kernels->copies_next(net, &trainer->run.data->x, &trainer->train);
    w.update.average = trainer->train.max_norm > 0 ? NULL : trainer->average;
    memcpy(w.update.moment, trainer->moment, sizeof w.update.moment);
    w.gate = (fm_gate){.barrier = &trainer->barrier,
                       .thread = thread,
                       .threads = threads,
                       .poll = &trainer->run.poll,
                       .work = net->row_work / (double)(net->n_layers - 1)};
    /* a short step is followed by a look at the clock anyway */
    if (trainer->train.batch_size > fm_chunk_rows(net)) w.gate.stopped = trainer->run.closed;
    return w;
}

static void sync(const walk *w) { fm_barrier_wait(&w->trainer->barrier, w->threads); }

static uint64_t epoch_number(const walk *w) { return w->trainer->state.epoch + w->epochs_done; }

static bool is_set(atomic_int *flag) { return atomic_load_explicit(flag, memory_order_relaxed); }

static void stop(fm_run *run)
{
    run->stopped = true;
    atomic_store_explicit(&run->over, 1, memory_order_relaxed);
}

/* The epoch's order of rows; it is left undone where the caller wants a stop. */
static void shuffle(const walk *w)
{
    enum { SOME = 1 << 17, WORK = 64 }; /* rows between looks at the clock; what one counts for */
    fm_trainer *trainer = w->trainer;
    fm_run *run = &trainer->run;
    const size_t n = trainer->order_rows;
    const uint32_t epoch = (uint32_t)epoch_number(w);
    trainer->ordered = 0;
    for (size_t pass = 0; pass < 2; pass++)
        for (size_t from = 0; from < n; from += SOME) {
            const size_t to = n - from < SOME ? n : from + SOME;
            if (pass == 0)
                for (size_t i = from; i < to; i++) trainer->order[i] = (uint32_t)i;
            else
                trainer->net->kernels->shuffle(trainer->order, n, from, to, trainer->train.seed,
                                               epoch);
            if (fm_poll_stops(&run->poll, (double)WORK * (double)(to - from))) {
                stop(run);
                return;
            }
        }
    trainer->ordered = epoch_number(w) + 1;
}

/* At the start of an epoch, or of a run within one that another trainer began. False: the run ends
 * here, for every thread. */
static bool enter_epoch(const walk *w)
{
    fm_trainer *trainer = w->trainer;
    fm_run *run = &trainer->run;
    const bool shuffles = trainer->order && trainer->ordered != epoch_number(w) + 1;
    if (w->position > 0 && !shuffles) return true;
    if (w->position == 0)
        fm_take_snapshot(trainer, w->thread, w->threads); /* with a barrier in it */
    else
        sync(w);
    if (w->thread == 0 && !is_set(&run->infinite)) {
        if (w->position == 0) {
            trainer->epoch = (fm_epoch_state){0};
            trainer->has_snapshot = true;
        }
        if (shuffles) shuffle(w);
    }
    sync(w);
    return !is_set(&run->infinite) && !is_set(&run->over);
}

static size_t at_most(size_t a, size_t b) { return a < b ? a : b; }

static void next_batch(walk *w)
{
    const fm_trainer *trainer = w->trainer;
    const fm_data *data = trainer->run.data;
    const size_t size = trainer->train.batch_size, count = at_most(data->rows - w->position, size);
    const size_t after = data->rows - w->position - count;
    const bool copied = w->batch.next != NULL;
    if (copied) w->work = w->work->other;
    w->batch = (fm_batch){.data = data,
                          .order = trainer->order,
                          .first = w->position,
                          .count = count,
                          .next_first = w->position + count,
                          .next_count = at_most(after, size),
                          .next = w->copies && after > 0 ? w->work->other : NULL,
                          .copied = copied,
                          .train = &trainer->train,
                          .epoch = (uint32_t)epoch_number(w)};
    w->rate = trainer->run.rates[trainer->run.n_rates == 1 ? 0 : w->position / size];
}

static void weigh_batch(walk *w, double weight)
{
    w->weight = weight;
    w->batch.delta_scale = weight > 0 ? 1 / weight : 0;
}

/* The loss as the mean over the batch's weight or, where rows have none, as a sum. */
static bool take_loss(walk *w, double loss)
{
    w->loss = w->trainer->run.data->sample_weight ? loss * w->weight : loss;
    if (isfinite(w->loss)) return true;
    if (w->thread == 0) w->trainer->run.status = FM_LOSS_DIVERGED;
    return false; /* for every thread: all see the same sum */
}

static void prepare_update(walk *w)
{
    fm_update_prepare(&w->update, &w->trainer->train, w->rate, ++w->step);
    /* the average starts at the parameters after the first step that goes into it */
    if (w->trainer->average_empty) w->update.ema = 0;
}

/* A batch in one piece, which a stop may abandon before its weights phase. False: its loss is not
 * finite, or the run is over. */
static bool take_step(walk *w)
{
    fm_trainer *trainer = w->trainer;
    const fm_net *net = trainer->net;
    const fm_kernels *k = net->kernels;
    bool stopped;
    weigh_batch(w, fm_weight_sum(w->batch.data, w->batch.order, w->batch.first, w->batch.count,
                                 NULL, &stopped));
    const fm_part part =
        fm_part_of_step(&trainer->stealing, w->batch.count, w->turn++, w->thread, w->threads);
    fm_step_forward(net, w->work, &w->batch, &part, FM_KEEP_SLOPE, &w->gate);
    fm_step_backward(net, w->work, &w->batch, &part, 1, &w->gate);
    if (w->gate.closed || !fm_gate_pass(&w->gate, w->batch.count)) {
        if (w->thread == 0) stop(&trainer->run);
        return false;
    }
    if (!take_loss(w, k->total(w->work->row_loss,
                               w->batch.data->sample_weight ? w->work->row_weight : NULL,
                               w->batch.count)))
        return false;
    prepare_update(w);
    w->norm = 0;
    if (trainer->gradient) {
        k->weights(net, w->work, &part, &w->update, FM_GRADIENT_STORE, trainer->gradient);
        sync(w);
        w->norm = fm_update_stored(trainer, &w->update, w->thread, w->threads);
    } else
        k->weights(net, w->work, &part, &w->update, FM_GRADIENT_UPDATE, NULL);
    return true;
}

/* A batch in chunks, whose gradient is stored first: until then a stop may abandon it. False: the
 * loss is not finite, or the run is over. */
static bool take_large_step(walk *w)
{
    fm_trainer *trainer = w->trainer;
    fm_run *run = &trainer->run;
    if (w->thread == 0) {
        bool stopped;
        trainer->batch_weight = fm_weight_sum(w->batch.data, w->batch.order, w->batch.first,
                                              w->batch.count, &run->poll, &stopped);
        if (stopped) stop(run);
    }
    sync(w);
    if (is_set(&run->over)) return false;
    weigh_batch(w, trainer->batch_weight);
    const fm_update penalties = {.l1 = trainer->train.l1, .l2 = trainer->train.l2};
    if (!fm_gradient_sum_run(trainer->sum, trainer->net, w->work, &w->batch, &penalties,
                             &trainer->stealing, &w->turn, &trainer->barrier, &run->poll, w->thread,
                             w->threads)) {
        if (w->thread == 0) stop(run);
        return false;
    }
    sync(w);
    if (!take_loss(w, trainer->sum->loss[0])) return false;
    prepare_update(w);
    w->norm = fm_update_stored(trainer, &w->update, w->thread, w->threads);
    return true;
}

/* Thread 0's: the step just done. */
static void record_step(const walk *w)
{
    fm_trainer *trainer = w->trainer;
    fm_epoch_state *epoch = &trainer->epoch;
    const fm_record *record = trainer->run.record;
    epoch->loss += w->loss;
    epoch->weight += w->weight;
    epoch->norm += w->norm;
    epoch->step_size += w->rate * w->norm;
    epoch->steps++;
    if (w->position < trainer->run.data->rows) return;
    const double steps = (double)epoch->steps;
    record->losses[w->epochs_done] = epoch->weight > 0 ? epoch->loss / epoch->weight : 0;
    record->step_sizes[w->epochs_done] = epoch->step_size / steps;
    record->norms[w->epochs_done] = epoch->norm / steps;
}

/* Thread 0's: is time up, or does the caller want a stop? */
static void look_at_clock(walk *w)
{
    fm_run *run = &w->trainer->run;
    if ((w->unclocked += w->work_a_step) < FM_CLOCK_WORK) return;
    w->unclocked = 0;
    const double now = fm_now();
    if (now >= run->deadline) atomic_store_explicit(&run->over, 1, memory_order_relaxed);
    if (fm_poll_at(&run->poll, now)) stop(run);
}

/* True: the run ends here. */
static bool end_step(walk *w)
{
    fm_trainer *trainer = w->trainer;
    if (trainer->train.max_norm > 0) fm_limit_weights(trainer, &w->update, w->thread, w->threads);
    w->position += w->batch.count;
    if (w->thread == 0) {
        record_step(w);
        look_at_clock(w);
    }
    sync(w);
    if (w->position == trainer->run.data->rows) {
        w->position = 0;
        w->epochs_done++;
    }
    if (w->thread == 0) trainer->average_empty = 0; /* read again only after the next barrier */
    return w->epochs_done == trainer->run.epochs || is_set(&trainer->run.over);
}

/* The parameters are looked at where no loss of a batch to come would tell. */
static void end_walk(const walk *w)
{
    fm_trainer *trainer = w->trainer;
    sync(w); /* thread 0 may have set `stopped` since the last one */
    if (w->position == 0 || trainer->run.stopped)
        fm_check_parameters(trainer, w->thread, w->threads);
    if (w->thread != 0) return;
    if (w->position == 0) trainer->epoch = (fm_epoch_state){0};
    trainer->epoch.position = w->position;
    trainer->state.step = w->step;
    trainer->state.epoch += w->epochs_done;
    trainer->run.record->epochs_done = w->epochs_done;
}

void fm_train_body(void *context, int thread, int threads)
{
    fm_trainer *trainer = context;
    walk w = start_walk(trainer, thread, threads);
    while (enter_epoch(&w)) {
        next_batch(&w);
        const bool large = trainer->sum && w.batch.count > trainer->sum->chunk;
        if (!(large ? take_large_step(&w) : take_step(&w)) || end_step(&w)) break;
    }
    end_walk(&w);
}
