/* check_kernels.c -- every instruction set of a build against the scalar kernels, without Python
 *
 * For processors that can only be emulated (`make cross`): networks of sizes that straddle the tiles are evaluated,
 * differentiated and trained with each set of kernels; results must agree to rounding. Exit status 1 if one does not.
 */
#include "fastmlp.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 75, LAYERS = 4, STEPS_EPOCHS = 2, WIDEST = 270, MOST = WIDEST * WIDEST };

static uint64_t state = 1;
static double
uniform(void) /* [-1, 1), a linear congruential generator: the values only have to differ */
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int64_t)state * 0x1p-63;
}

typedef struct results {
    double outputs[ROWS * WIDEST], gradient[3 * MOST], trained[3 * MOST], loss;
} results;

static void get_layers(const fm_net *net, const void *panels, const size_t *sizes, int is_double,
                       double *to)
{
    for (size_t l = 1; l < LAYERS; l++) {
        double weights[MOST], *at = to + (l - 1) * MOST;
        fm_layer_get(net, l, panels, weights, NULL);
        for (size_t i = 0; i < sizes[l] * sizes[l - 1]; i++)
            at[i] = is_double ? weights[i] : (double)((float *)(void *)weights)[i];
    }
}

/* Fills r by the kernels of one instruction set; false if the engine reports an error. */
static int run(const char *isa, const char *dtype, const size_t *sizes, int activation,
               int optimizer, results *r)
{
    const int is_double = !strcmp(dtype, "float64");
    const int activations[LAYERS] = {0, activation, activation, FM_ACTIVATION_softmax};
    const double alphas[LAYERS] = {0, 0.1, 0.1, 0}, none[LAYERS] = {0};
    const fm_net_config config = {LAYERS,      sizes,
                                  activations, alphas,
                                  none,        FM_LOSS_cross_entropy,
                                  0,           fm_kernels_find(isa, dtype)};
    static double x[ROWS * WIDEST], y[ROWS * WIDEST];
    static int64_t labels[ROWS];
    fm_net *net;
    fm_trainer *trainer;
    if (fm_net_create(&net, &config) != FM_OK) return 0;
    state = 1;
    for (size_t l = 1; l < LAYERS; l++) {
        double weights[MOST], bias[WIDEST];
        for (size_t i = 0; i < sizes[l] * sizes[l - 1]; i++)
            if (is_double)
                weights[i] = (double)(float)uniform() / 4;
            else
                ((float *)(void *)weights)[i] = (float)uniform() / 4;
        for (size_t i = 0; i < sizes[l]; i++)
            if (is_double)
                bias[i] = (double)(float)uniform();
            else
                ((float *)(void *)bias)[i] = (float)uniform();
        fm_layer_set(net, l, fm_net_params(net), weights, bias);
    }
    for (size_t i = 0; i < ROWS * sizes[0]; i++) x[i] = uniform();
    for (size_t i = 0; i < ROWS; i++) labels[i] = (int64_t)(i % sizes[LAYERS - 1]);
    const fm_data data = {.x = {.data = x,
                                .rows = ROWS,
                                .columns = sizes[0],
                                .row_stride = (ptrdiff_t)(8 * sizes[0]),
                                .column_stride = 8,
                                .dtype = FM_DTYPE_float64},
                          .y = {.data = labels,
                                .rows = ROWS,
                                .columns = 1,
                                .row_stride = 8,
                                .column_stride = 8,
                                .dtype = FM_DTYPE_int64,
                                .labels = 1},
                          .rows = ROWS};
    const fm_data inputs = {.x = data.x, .rows = ROWS};
    int good = fm_predict(net, &inputs, y, 2, NULL) == FM_OK;
    for (size_t i = 0; i < ROWS * sizes[LAYERS - 1]; i++)
        r->outputs[i] = is_double ? y[i] : (double)((float *)(void *)y)[i];
    void *gradient = fm_allocate(fm_net_param_count(net) * 8);
    good =
        good && gradient && fm_gradient(net, &data, 0, 0.01, &r->loss, gradient, 2, NULL) == FM_OK;
    get_layers(net, gradient, sizes, is_double, r->gradient);
    fm_release(gradient);

    const fm_train train = {.optimizer = optimizer,
                            .constants.value = {0.9, 0.9, 1e-3},
                            .moments = 2,
                            .l1 = 1e-3,
                            .batch_size = 64,
                            .shuffle = 1,
                            .seed = 7,
                            .threads = 2};
    const double rate = 0.01;
    double losses[STEPS_EPOCHS], norms[STEPS_EPOCHS], sizes_of_steps[STEPS_EPOCHS];
    fm_record record = {.losses = losses, .norms = norms, .step_sizes = sizes_of_steps};
    if (!good || fm_trainer_create(&trainer, net, &train, (fm_train_state){0, 0}) != FM_OK)
        return 0;
    good = fm_trainer_run(trainer, &data, &rate, 1, STEPS_EPOCHS, 1e9, NULL, &record) == FM_OK;
    get_layers(net, fm_net_params(net), sizes, is_double, r->trained);
    fm_trainer_free(trainer);
    fm_net_free(net);
    return good;
}

static double largest_difference(const double *a, const double *b, size_t count)
{
    double worst = 0;
    for (size_t i = 0; i < count; i++) {
        double d = fabs(a[i] - b[i]);
        if (!(d <= worst)) worst = d;
    }
    return worst;
}

int main(void)
{
    static const size_t shapes[][LAYERS] = {
        {1, 1, 1, 2},    {7, 33, 17, 3},      {65, 15, 64, 10}, {16, 32, 48, 70},
        {70, 31, 2, 20}, {170, 260, 270, 257}}; /* the last looks for zeros in all products */
    static const char *const dtypes[] = {"float32", "float64"};
    static results expected, found;
    int checks = 0, failures = 0;
    for (int isa = 0; fm_isa_name(isa); isa++) {
        if (!fm_isa_supported(isa) || !strcmp(fm_isa_name(isa), "scalar")) continue;
        for (int t = 0; t < 2; t++)
            for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
                for (int activation = 0; activation < FM_ACTIVATION_softmax; activation++) {
                    const int optimizer = activation % 2 ? FM_OPTIMIZER_adam : FM_OPTIMIZER_sgd;
                    const double tolerance = t ? 1e-12 : 2e-4;
                    memset(&expected, 0, sizeof expected);
                    memset(&found, 0, sizeof found);
                    int good =
                        run("scalar", dtypes[t], shapes[s], activation, optimizer, &expected) &&
                        run(fm_isa_name(isa), dtypes[t], shapes[s], activation, optimizer, &found);
                    double worst =
                        largest_difference(expected.outputs, found.outputs, ROWS * WIDEST);
                    worst = fmax(worst,
                                 largest_difference(expected.gradient, found.gradient, 3 * MOST));
                    worst =
                        fmax(worst, largest_difference(expected.trained, found.trained, 3 * MOST));
                    checks++;
                    if (!good || !(worst <= tolerance)) {
                        failures++;
                        printf("%s %s shape %zu %s: off by %g\n", fm_isa_name(isa), dtypes[t], s,
                               fm_activation_name(activation), worst);
                    }
                }
        printf("%s against scalar\n", fm_isa_name(isa));
    }
    printf("%d checks, %d failed\n", checks, failures);
    return failures != 0 || checks == 0;
}
