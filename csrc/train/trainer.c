/* trainer.c -- what a training keeps: made, handed out, run in slices of time */
#include "train/trainer.h"

#include "net/chunks.h"
#include "net/network.h"
#include "threads/clock.h"
#include "threads/plan.h"
#include "train/optimizers.h"
#include "train/update.h"

#include <math.h>
#include <string.h>

/* Most seconds on one thread between two measurements, after which threads spin in vain for
 * milliseconds. Where they were waited for in vain: so many times the wait, doubled each time. */
static const double ALONE = 0.3, ALONE_A_WAIT = 4;

static bool is_valid(const fm_train *train)
{
    return train->batch_size > 0 && train->moments >= 0 && train->moments <= FM_MAX_MOMENTS &&
           train->optimizer >= 0 && train->optimizer < FM_OPTIMIZERS && train->augments >= 0 &&
           train->augments <= FM_MAX_AUGMENT;
}

/* The workspace and, for batches that go in chunks, what their gradients are summed in. */
static fm_status create_work(fm_trainer *trainer)
{
    const fm_net *net = trainer->net;
    const fm_train *train = &trainer->train;
    const size_t chunk = fm_chunk_rows(net), size = train->batch_size;
    const bool large = size > fm_whole_rows(net),
               norms = train->clip_norm > 0 || train->record_norm;
    fm_status status = fm_work_create(&trainer->work, net, large ? chunk : size,
                                      (size_t)trainer->most_threads, FM_WORK_TRAIN);
    if (status == FM_OK && !large && fm_input_bytes(net, trainer->work->rows) <= FM_COPIED_BYTES)
        status = fm_work_double_inputs(trainer->work, net);
    if (status == FM_OK)
        status = fm_stealing_create(&trainer->stealing, net, (size_t)trainer->most_threads);
    if (status == FM_OK && (large || norms) &&
        !(trainer->gradient = fm_allocate(fm_param_bytes(net))))
        status = FM_OUT_OF_MEMORY;
    if (status == FM_OK && norms &&
        !(trainer->norm_parts = fm_allocate(fm_norm_chunks(net) * sizeof *trainer->norm_parts)))
        status = FM_OUT_OF_MEMORY;
    if (status == FM_OK && large)
        status = fm_gradient_sum_create(&trainer->sum, net, size, chunk, trainer->gradient, NULL);
    return status;
}

/* Snapshot, moments and average. */
static fm_status create_arrays(fm_trainer *trainer)
{
    const size_t bytes = fm_param_bytes(trainer->net);
    bool all = (trainer->snapshot = fm_allocate(bytes)) != NULL;
    for (int i = 0; i < trainer->train.moments; i++)
        all = all && (trainer->moment[i] = fm_allocate(bytes));
    if (trainer->train.ema > 0) all = all && (trainer->average = fm_allocate(bytes));
    return all ? FM_OK : FM_OUT_OF_MEMORY;
}

fm_status fm_trainer_create(fm_trainer **made, fm_net *net, const fm_train *train,
                            fm_train_state state)
{
    if (!is_valid(train)) return FM_BAD_CONFIG;
    fm_trainer *trainer = fm_allocate(sizeof *trainer);
    if (!trainer) return FM_OUT_OF_MEMORY;
    trainer->net = net;
    trainer->train = *train;
    trainer->state = state;
    trainer->most_threads = fm_plan_training(net, train, train->threads);
    trainer->average_empty = 1;
    trainer->latency = FM_NOT_MEASURED;
    fm_status status = create_work(trainer);
    if (status == FM_OK) status = create_arrays(trainer);
    if (status != FM_OK) {
        fm_trainer_free(trainer);
        return status;
    }
    *made = trainer;
    return FM_OK;
}

void fm_trainer_free(fm_trainer *trainer)
{
    if (!trainer) return;
    fm_work_free(trainer->work);
    for (int i = 0; i < FM_MAX_MOMENTS; i++) fm_release(trainer->moment[i]);
    fm_gradient_sum_free(trainer->sum);
    fm_release(trainer->average);
    fm_release(trainer->snapshot);
    fm_release(trainer->gradient);
    fm_release(trainer->norm_parts);
    fm_release(trainer->stealing.begun);
    fm_release(trainer->order);
    fm_release(trainer);
}

void *fm_trainer_moment(fm_trainer *trainer, int index)
{
    return index >= 0 && index < FM_MAX_MOMENTS ? trainer->moment[index] : NULL;
}

void *fm_trainer_average(fm_trainer *trainer) { return trainer->average; }

int fm_trainer_average_begun(const fm_trainer *trainer)
{
    return trainer->average && !trainer->average_empty;
}

void fm_trainer_average_set(fm_trainer *trainer) { trainer->average_empty = 0; }
void fm_trainer_average_drop(fm_trainer *trainer) { trainer->average_empty = 1; }

void fm_trainer_adopt(fm_trainer *trainer, const fm_trainer *other)
{
    const size_t bytes = fm_param_bytes(trainer->net);
    for (int i = 0; i < trainer->train.moments; i++)
        memcpy(trainer->moment[i], other->moment[i], bytes);
    if (!trainer->average || !fm_trainer_average_begun(other)) return;
    memcpy(trainer->average, other->average, bytes);
    trainer->average_empty = 0;
}

int fm_trainer_threads(const fm_trainer *trainer) { return trainer->most_threads; }

fm_train_state fm_trainer_state(const fm_trainer *trainer) { return trainer->state; }

fm_epoch_state fm_trainer_epoch(const fm_trainer *trainer)
{
    /* between two epochs the sums are those of the one that ended */
    return trainer->epoch.position > 0 ? trainer->epoch : (fm_epoch_state){0};
}

fm_status fm_trainer_set_epoch(fm_trainer *trainer, fm_epoch_state epoch)
{
    if (epoch.position % trainer->train.batch_size ||
        epoch.steps != epoch.position / trainer->train.batch_size)
        return FM_BAD_CONFIG;
    trainer->epoch = epoch;
    trainer->rows = 0;
    trainer->ordered = 0;
    trainer->has_snapshot = epoch.position > 0;
    return FM_OK;
}

void *fm_trainer_epoch_start(fm_trainer *trainer) { return trainer->snapshot; }

void fm_trainer_restart_epoch(fm_trainer *trainer)
{
    /* the last step may have spoilt the weights, and no loss has told */
    if (trainer->epoch.position > 0) fm_give_up_epoch(trainer, false);
}

/* Threads for the run under way. Which they are changes no bit, so the choice may follow the
 * machine. */
static int choose_threads(fm_trainer *trainer)
{
    const fm_net *net = trainer->net;
    const fm_train *train = &trainer->train;
    const double rows = (double)trainer->run.data->rows * (double)trainer->run.epochs -
                        (double)trainer->epoch.position;
    const double steps = rows / (double)train->batch_size + 1;
    const int most = fm_plan_present(trainer->most_threads);
    const double patience = fm_plan_patience(net, train, steps, most);
    const double start = fm_now();
    if (patience > 0 && start - trainer->measured >= trainer->alone) {
        trainer->latency = fm_threads_latency(most, patience);
        trainer->measured = fm_now();
        const bool in_vain = trainer->latency.barrier == FM_NOT_MEASURED.barrier;
        const double wait = ALONE_A_WAIT * (trainer->measured - start);
        trainer->alone = in_vain ? fmin(ALONE, fmax(wait, 2 * trainer->alone)) : ALONE;
    }
    const int threads = fm_plan_steps(net, train, steps, most, trainer->latency);
    if (patience > 0 && threads > 1) trainer->alone = 0;
    return threads;
}

/* Makes the trainer fit the rows; an epoch under way over other rows begins again. */
static fm_status fit_rows(fm_trainer *trainer, size_t rows)
{
    if (rows == 0 || rows > UINT32_MAX) return FM_TOO_LARGE;
    if (trainer->rows && trainer->rows != rows) trainer->epoch = (fm_epoch_state){0};
    if (trainer->epoch.position >= rows) return FM_BAD_CONFIG;
    if (trainer->train.shuffle && trainer->order_rows != rows) {
        fm_release(trainer->order);
        trainer->order_rows = trainer->ordered = 0;
        if (!(trainer->order = fm_allocate(rows * sizeof *trainer->order))) return FM_OUT_OF_MEMORY;
        trainer->order_rows = rows;
    }
    trainer->rows = rows;
    return FM_OK;
}

static void begin_run(fm_trainer *trainer, const double *rates)
{
    if (trainer->state.step == 0)
        for (int i = 0; i < trainer->train.moments; i++)
            trainer->net->kernels->fill(trainer->moment[i], trainer->net->n_params,
                                        fm_moment_start(&trainer->train, i, rates[0]));
    trainer->first_rate = rates[0];
    fm_stealing_reset(&trainer->stealing); /* a step may have been abandoned */
    for (int flag = 0; flag < 2; flag++) {
        atomic_store(&trainer->run.closed[flag], 0);
        if (trainer->sum) atomic_store(&trainer->sum->stopped[flag], 0);
    }
}

/* The run's status; where it is divergence, with the epoch given up. */
static fm_status end_run(fm_trainer *trainer)
{
    fm_run *run = &trainer->run;
    if (run->status == FM_OK && atomic_load(&run->infinite)) {
        run->status = FM_PARAMETERS_DIVERGED;
        /* of an epoch that has ended it was the last step that spoilt them */
        if (trainer->epoch.position == 0 && run->record->epochs_done > 0) {
            run->record->epochs_done--;
            trainer->state.epoch--;
        }
    }
    if (run->status != FM_OK) fm_give_up_epoch(trainer, true);
    run->poll.stop = NULL;
    return run->status;
}

fm_status fm_trainer_run(fm_trainer *trainer, const fm_data *data, const double *rates,
                         size_t n_rates, size_t epochs, double seconds, const fm_stop *stop,
                         fm_record *record)
{
    record->epochs_done = 0;
    if (epochs == 0) return FM_OK;
    const size_t size = trainer->train.batch_size;
    if (n_rates != 1 && n_rates != (data->rows + size - 1) / size) return FM_BAD_CONFIG;
    const fm_status status = fit_rows(trainer, data->rows);
    if (status != FM_OK) return status;
    trainer->run = (fm_run){.data = data,
                            .rates = rates,
                            .n_rates = n_rates,
                            .epochs = epochs,
                            .deadline = fm_now() + seconds,
                            .record = record,
                            .poll = fm_poll_start(stop)};
    begin_run(trainer, rates);
    fm_parallel(choose_threads(trainer), fm_train_body, trainer);
    return end_run(trainer);
}
