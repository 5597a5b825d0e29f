/* plan.c -- the cost model: how many threads a pass over some rows pays for
 *
 * In a training step threads divide the arithmetic, but wait at a barrier after every layer and
 * exchange what they computed. What that costs depends on where the system has put them, and can
 * change within a second, so it is measured (fm_threads_latency). The other figures are those of
 * a 2-core Zen 5: docs/engine/threads.md.
 */
#include "threads/plan.h"

#include "threads/count.h"

/* One thread: flops a second and lane. */
static const double FLOPS_PER_LANE = 15.3e9;
/* Seconds for a cache line of activations or deltas, written and read; of parameters or moments. */
static const double LINE = 2e-9, PARAMETER_LINE = 1.6e-9;
/* Seconds for a layer, whatever its size. */
static const double LAYER = 0.2e-6;
/* Seconds for a line of weights that left the second-level cache and comes back three times in a
 * step: forward, backward, and to be changed. */
static const double FAR_LINE = 3.5e-9;
/* Several threads: barrier latencies that one barrier of a step costs, with uneven ends before it
 * and cold lines after it. */
static const double BARRIERS = 6;
/* Core-to-core latencies that a line takes in a step, over lines sent one after the other. */
static const double TRANSFER = 1.6;
/* Part of one thread's time that several must stay below: one that is held up holds up all. The
 * halves of one core gain a tenth at most, so there the margin is smaller. */
static const double WORTH = 0.85, WORTH_OF_HALVES = 0.97;
/* Seconds to start threads for a slice of training. */
static const double START = 50e-6;
/* Most seconds to wait until each has a processor: three or four ticks of the system's clock. */
static const double PATIENCE = 15e-3;
/* Threads that slow one another down to less are the two halves of one core. */
static const double CORE_OF_ITS_OWN = 0.75;
/* In the kernels each half does this part of what it does alone. */
static const double HALF = 0.55;
/* No two cores are nearer to each other. */
static const fm_latency NEAREST = {.barrier = 50e-9, .line = 1.4e-9, .speed = 1};
/* Multiply-adds that pay for one more thread in a pass that changes nothing: 10 us to wake it. */
static const double PASS_GRAIN = 1000e3;
/* Elements that pay for one more thread where each is looked at once. */
static const size_t CHECK_GRAIN = 200 * 1000;
/* Multiply-adds of a step that are worth stealing by a core without their weights: 15 us. */
static const size_t PIECE = 2000 * 1000;

static atomic_int free_threads;

void fm_plan_free_threads(int on) { atomic_store(&free_threads, on); }

size_t fm_plan_piece(void) { return atomic_load(&free_threads) ? 1 : PIECE; }

int fm_plan_present(int threads)
{
    const int processors = fm_threads_processors();
    return threads < processors || atomic_load(&free_threads) ? threads : processors;
}

/* Seconds that a training step is expected to take. */
static double step_seconds(const fm_net *net, const fm_train *train, int threads,
                           fm_latency latency)
{
    const fm_kernels *k = net->kernels;
    const size_t last = net->n_layers - 1;
    const double rows = (double)train->batch_size, params = (double)net->n_params;
    double lines = 0; /* of activations and deltas */
    double moved = 0; /* those and weights that other threads need */
    for (size_t l = 0; l <= last; l++) {
        const double blocks = (double)fm_blocks(net, net->layer[l].n_out) * rows;
        lines += l ? 2 * blocks : blocks;
        moved += l && l < last ? 2 * blocks : blocks;
        /* the backward pass reads the weights of others, each its slice of the ins */
        if (l > 1) moved += (double)(fm_blocks(net, net->layer[l].n_out) * net->layer[l].n_in) / 2;
    }
    const double weight_lines = params / (double)k->block,
                 moment_lines = weight_lines * train->moments;
    /* nothing goes back to the inputs */
    const double flops =
        (6 * params - 2 * (double)net->layer[1].n_in * (double)net->layer[1].n_out) * rows;
    const double near = flops / (FLOPS_PER_LANE * (double)k->lanes) + LINE * lines +
                        PARAMETER_LINE * (weight_lines + moment_lines);
    const bool is_far = params * (double)k->real_size > (double)FM_NEAR_BYTES * threads;
    const double far = is_far ? FAR_LINE * weight_lines + PARAMETER_LINE * moment_lines : 0;
    const double work = near > far ? near : far, layers = LAYER * (double)last;
    if (threads == 1) return work + layers;
    const double speed = latency.speed < CORE_OF_ITS_OWN ? HALF : 1;
    return work / (threads * speed) + layers + BARRIERS * (double)(2 * last + 1) * latency.barrier +
           TRANSFER * (1 - 1.0 / threads) * moved * latency.line;
}

int fm_plan_steps(const fm_net *net, const fm_train *train, double steps, int most,
                  fm_latency latency)
{
    if (atomic_load(&free_threads)) return most;
    int best = 1;
    const double worth = latency.speed < CORE_OF_ITS_OWN ? WORTH_OF_HALVES : WORTH;
    double least = worth * steps * step_seconds(net, train, 1, latency) - START;
    for (int threads = 2; threads <= most; threads++) {
        const double seconds = steps * step_seconds(net, train, threads, latency);
        if (seconds < least) {
            best = threads;
            least = seconds;
        }
    }
    return best;
}

int fm_plan_training(const fm_net *net, const fm_train *train, int wanted)
{
    return fm_plan_steps(net, train, 1e9, fm_threads_allowed(wanted), NEAREST);
}

double fm_plan_patience(const fm_net *net, const fm_train *train, double steps, int most)
{
    if (most == 1 || atomic_load(&free_threads)) return 0;
    const double tenth = steps * step_seconds(net, train, 1, NEAREST) / 10;
    return tenth < START ? 0 : tenth < PATIENCE ? tenth : PATIENCE;
}

int fm_plan_pass(const fm_net *net, size_t rows, int wanted)
{
    int most = fm_plan_present(fm_threads_allowed(wanted));
    if ((size_t)most > rows) most = (int)rows;
    const double paid = (double)net->n_params * (double)rows / PASS_GRAIN;
    if (atomic_load(&free_threads) || paid >= most) return most;
    return paid < 1 ? 1 : (int)paid;
}

int fm_plan_check(size_t elements, int wanted)
{
    const int most = fm_plan_present(fm_threads_allowed(wanted));
    const size_t paid = elements / CHECK_GRAIN + 1;
    return paid < (size_t)most ? (int)paid : most;
}
