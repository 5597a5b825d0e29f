/* plan.c -- the cost model: how many threads a pass over some rows pays for
 *
 * Threads meet at two barriers a step and each reads weights that the others wrote; a step must be worth that.
 * The figures are those of docs/design.md, "Threads".
 */
#include "plan.h"
#include "fastmlp.h"

/* Multiply-adds that pay for one more thread in a training step: some 2 us of work against 1 us for two barriers. */
static const double TRAINING_GRAIN = 200e3;
/* ... and in a pass of its own, which wakes sleeping threads: some 10 us. */
static const double PASS_GRAIN = 1000e3;

/* OpenMP ends the process where the system refuses it a thread. */
enum { MOST_THREADS = 256 };

static atomic_int free_threads;

void fm_plan_free_threads(int on) { atomic_store(&free_threads, on); }

static int paid_threads(double work, double grain, size_t rows, int wanted)
{
    int threads = wanted > 0 ? wanted : fm_threads_default();
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    const double paid = work / grain;
    if (!atomic_load(&free_threads) && paid < threads) threads = paid < 1 ? 1 : (int)paid;
    return (size_t)threads > rows ? (int)rows : threads;
}

int fm_plan_training(const fm_net *net, size_t rows, int wanted)
{
    return paid_threads(3.0 * (double)net->n_params * (double)rows, TRAINING_GRAIN, rows, wanted);
}

int fm_plan_pass(const fm_net *net, size_t rows, int wanted)
{
    return paid_threads((double)net->n_params * (double)rows, PASS_GRAIN, rows, wanted);
}

size_t fm_plan_chunk(size_t rows)
{
    enum { ROWS = 84 }; /* whole tiles of 14 and 12; a chunk's activations share the L2 cache with the weights */
    return rows < ROWS ? rows : ROWS;
}
