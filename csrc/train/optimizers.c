/* optimizers.c -- the constants of one optimizer step, folded in double before the kernels run
 *
 * The kernels in kernels/updates.h say which constant they read where.
 */
#include "train/optimizers.h"

#include <math.h>
#include <string.h>

void fm_update_prepare(fm_update *u, const fm_train *train, double learning_rate, uint64_t step)
{
    const double *c = train->constants;
    u->optimizer = train->optimizer;
    u->learning_rate = learning_rate;
    u->l1 = train->l1;
    u->l2 = train->l2;
    u->ema = train->ema;
    memcpy(u->c, c, sizeof u->c);
    switch (train->optimizer) {
    case FM_OPTIMIZER_adam:
    case FM_OPTIMIZER_adamw: /* beta1, beta2, epsilon and, of AdamW, weight_decay */
        u->c[3] = train->optimizer == FM_OPTIMIZER_adamw ? 1 - learning_rate * c[3] : 1;
        u->c[4] = learning_rate / (1 - pow(c[0], (double)step));
        u->c[5] = 1 / sqrt(1 - pow(c[1], (double)step));
        break;
    case FM_OPTIMIZER_adagrad: /* learning_rate_decay, epsilon, initial_accumulator */
        u->c[3] = learning_rate / (1 + (double)(step - 1) * c[0]);
        break;
    }
}

double fm_moment_start(const fm_train *train, int index, double learning_rate)
{
    if (train->optimizer == FM_OPTIMIZER_adagrad) return train->constants[2];
    if (train->optimizer == FM_OPTIMIZER_rprop && index == 1)
        return learning_rate; /* the first step size */
    return 0;
}
