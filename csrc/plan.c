/* plan.c -- the cost model: how many threads a pass over some rows pays for
 *
 * In a training step threads share the arithmetic, but each must fetch from the others the weights that they changed
 * and the activations that they computed, and take back every such line before it writes it again. The figures were
 * measured on a 2-core Zen 5 whose cores do not always share a cache (docs/design.md, "Threads").
 */
#include "plan.h"
#include "fastmlp.h"

/* Flops that one lane of one thread does in a second, on networks small enough for the question to matter. */
static const double FLOPS_PER_LANE = 10e9;
/* Bytes a second at which a thread gets and takes back what others hold. */
static const double SHARED_BYTES = 7e9;
/* Seconds that two barriers and the uneven ends before them cost. */
static const double BARRIERS = 2e-6;
/* Multiply-adds that pay for one more thread in a pass that changes nothing: some 10 us to wake it. */
static const double PASS_GRAIN = 1000e3;

/* OpenMP ends the process where the system refuses it a thread. */
enum { MOST_THREADS = 256 };

static atomic_int free_threads;

void fm_plan_free_threads(int on) { atomic_store(&free_threads, on); }

/* At most `wanted` threads, or what the machine has, and no more than rows. */
static int allowed_threads(size_t rows, int wanted)
{
    int threads = wanted > 0 ? wanted : fm_threads_default();
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    return (size_t)threads > rows ? (int)rows : threads;
}

/* Seconds that a training step is expected to take. */
static double step_seconds(const fm_net *net, size_t rows, int threads)
{
    const fm_kernels *k = net->kernels;
    double units = 0;
    for (size_t l = 0; l < net->n_layers; l++) units += (double)(fm_blocks(net, net->layer[l].n_out) * k->block);
    const double flops = 6.0 * (double)net->n_params * (double)rows;
    const double bytes = ((double)net->n_params + 2 * units * (double)rows) * (double)k->real_size;
    const double share = 1.0 / threads;
    return flops * share / (FLOPS_PER_LANE * (double)k->lanes) +
           (threads > 1 ? bytes * (1 - share) / SHARED_BYTES + BARRIERS : 0);
}

int fm_plan_training(const fm_net *net, size_t rows, int wanted)
{
    const int most = allowed_threads(rows, wanted);
    if (atomic_load(&free_threads)) return most;
    int best = 1;
    for (int threads = 2; threads <= most; threads++)
        if (step_seconds(net, rows, threads) < step_seconds(net, rows, best)) best = threads;
    return best;
}

int fm_plan_pass(const fm_net *net, size_t rows, int wanted)
{
    const int most = allowed_threads(rows, wanted);
    const double paid = (double)net->n_params * (double)rows / PASS_GRAIN;
    if (atomic_load(&free_threads) || paid >= most) return most;
    return paid < 1 ? 1 : (int)paid;
}

size_t fm_plan_chunk(size_t rows)
{
    enum { ROWS = 84 }; /* whole tiles of 14 and 12; a chunk's activations share the L2 cache with the weights */
    return rows < ROWS ? rows : ROWS;
}
