/* status.c -- messages of the statuses and names of the lists in tables.h */
#include "fastmlp.h"

const char *fm_status_message(fm_status status)
{
#define MESSAGE(name, message) message,
    static const char *const messages[] = {FM_STATUS_LIST(MESSAGE)};
    return (size_t)status < sizeof messages / sizeof *messages ? messages[status]
                                                               : "unknown status";
}

#define NAME(name, ...) #name,

const char *fm_activation_name(int i)
{
    static const char *const names[] = {FM_ACTIVATION_LIST(NAME) "softmax"};
    return i >= 0 && i < FM_ACTIVATIONS ? names[i] : NULL;
}

const char *fm_loss_name(int i)
{
    static const char *const names[] = {FM_LOSS_LIST(NAME)};
    return i >= 0 && i < FM_LOSSES ? names[i] : NULL;
}

const char *fm_optimizer_name(int i)
{
    static const char *const names[] = {FM_OPTIMIZER_LIST(NAME)};
    return i >= 0 && i < FM_OPTIMIZERS ? names[i] : NULL;
}

#define CONSTANTS(name, ...) #__VA_ARGS__,

const char *fm_optimizer_constants(int i)
{
    static const char *const names[] = {FM_OPTIMIZER_LIST(CONSTANTS)};
    return i >= 0 && i < FM_OPTIMIZERS ? names[i] : NULL;
}

size_t fm_dtype_size(int dtype)
{
#define SIZE(name, type) sizeof(type),
    static const unsigned char sizes[] = {FM_DTYPE_LIST(SIZE) 2};
    return dtype >= 0 && dtype < FM_DTYPES ? sizes[dtype] : 0;
}

const char *fm_compiler(void)
{
#if defined(__clang__)
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}
