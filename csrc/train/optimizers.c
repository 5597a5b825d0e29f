/* optimizers.c -- the constants of one optimizer step, folded in double before the kernels run */
#include "train/optimizers.h"

#include <math.h>

_Static_assert(sizeof(fm_constants) == FM_OPTIMIZER_CONSTANTS * sizeof(double),
               "an optimizer has more constants than FM_OPTIMIZER_CONSTANTS");

void fm_update_prepare(fm_update *u, const fm_train *train, double learning_rate, uint64_t step)
{
    const fm_constants *c = &train->constants;
    u->optimizer = train->optimizer;
    u->learning_rate = u->rate = learning_rate;
    u->l1 = train->l1;
    u->l2 = train->l2;
    u->ema = train->ema;
    u->constants = *c;
    u->decay = 1;
    switch (train->optimizer) {
    case FM_OPTIMIZER_adamw:
        u->decay = 1 - learning_rate * c->adamw.weight_decay; /* fall through */
    case FM_OPTIMIZER_adam:
        u->rate = learning_rate / (1 - pow(c->adam.beta1, (double)step));
        u->root = 1 / sqrt(1 - pow(c->adam.beta2, (double)step));
        break;
    case FM_OPTIMIZER_adagrad:
        u->rate = learning_rate / (1 + (double)(step - 1) * c->adagrad.learning_rate_decay);
        break;
    }
}

double fm_moment_start(const fm_train *train, int index, double learning_rate)
{
    if (train->optimizer == FM_OPTIMIZER_adagrad)
        return train->constants.adagrad.initial_accumulator;
    if (train->optimizer == FM_OPTIMIZER_rprop && index == 1)
        return learning_rate; /* the first step size */
    return 0;
}
