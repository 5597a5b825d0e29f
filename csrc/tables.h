/* tables.h -- the lists of things: activations, losses, optimizers, number types, statuses
 *
 * Each is written once, here: enumerations, names for Python, kernels and tests are made from it.
 */
#ifndef FM_TABLES_H
#define FM_TABLES_H

/* clang-format off: an item a line */

/* name; softmax acts on a whole row and is for outputs only */
#define FM_ACTIVATION_LIST(X) \
    X(identity)               \
    X(step)                   \
    X(sigmoid)                \
    X(tanh)                   \
    X(relu)                   \
    X(leaky_relu)             \
    X(elu)                    \
    X(selu)                   \
    X(gelu)                   \
    X(silu)                   \
    X(softplus)               \
    X(mish)

/* name */
#define FM_LOSS_LIST(X) \
    X(mse)              \
    X(half_mse)         \
    X(mae)              \
    X(huber)            \
    X(poisson)          \
    X(quantile)         \
    X(cross_entropy)    \
    X(perceptron)

/* name, its constants beside the learning rate */
#define FM_OPTIMIZER_LIST(X)                                      \
    X(sgd, momentum, nesterov)                                    \
    X(adam, beta1, beta2, epsilon)                                \
    X(adamw, beta1, beta2, epsilon, weight_decay)                 \
    X(rmsprop, alpha, epsilon, momentum, centered)                \
    X(adagrad, learning_rate_decay, epsilon, initial_accumulator) \
    X(rprop, eta_minus, eta_plus, step_min, step_max)

/* name, C type */
#define FM_DTYPE_LIST(X) \
    X(int8, int8_t)      \
    X(uint8, uint8_t)    \
    X(int16, int16_t)    \
    X(uint16, uint16_t)  \
    X(int32, int32_t)    \
    X(uint32, uint32_t)  \
    X(int64, int64_t)    \
    X(uint64, uint64_t)  \
    X(float32, float)    \
    X(float64, double)   \
    X(longdouble, long double)

/* name, message */
#define FM_STATUS_LIST(X)                                                       \
    X(OK, "no error")                                                           \
    X(OUT_OF_MEMORY, "out of memory")                                           \
    X(TOO_LARGE, "a size exceeds what this machine can address")                \
    X(BAD_CONFIG, "the configuration handed to the core is inconsistent")       \
    X(NOT_FINITE, "a value is NaN or infinite in the precision of the network") \
    X(LOSS_DIVERGED, "the loss is no longer finite")                            \
    X(PARAMETERS_DIVERGED, "a parameter is no longer finite")                   \
    X(STOPPED, "the caller wanted a stop")
/* clang-format on */

#endif
