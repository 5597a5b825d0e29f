/* poll.c -- whether a pass goes on: its thread 0 asks the caller, every 50 ms or so */
#include "threads/poll.h"
#include "threads/clock.h"

static const double INTERVAL = 0.05;

fm_poll fm_poll_start(const fm_stop *stop)
{
    if (!stop) return (fm_poll){0};
    const fm_float_mode mode = fm_float_mode_enter();
    fm_float_mode_restore(mode);
    return (fm_poll){.stop = stop, .outside = mode, .next = fm_now() + INTERVAL};
}

bool fm_poll_at(fm_poll *poll, double now)
{
    if (!poll->stop || now < poll->next) return false;
    const fm_float_mode inside = fm_float_mode_enter();
    fm_float_mode_restore(poll->outside);
    const bool stops = poll->stop->ask(poll->stop->context) != 0;
    fm_float_mode_restore(inside);
    poll->next = fm_now() + INTERVAL;
    return stops;
}

bool fm_poll_clock(fm_poll *poll)
{
    poll->work = 0;
    return fm_poll_at(poll, fm_now());
}
