"""Schedules: rates by hand, PyTorch's schedulers, time in epochs and steps, warm-up, plateau."""

import dataclasses
import json
import math

import numpy as np
import pytest

from fastmlp.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    Exponential,
    InverseScaling,
    OneCycle,
    Plateau,
    Step,
    Warmup,
    resolve_schedule,
)

BY = ["epoch", "step"]


def curve(schedule, epochs, steps, base=1.0, losses=None):
    """Return the rate of every step of a training, (epochs * steps,)."""
    state, rates = schedule.initial_state(), []
    for epoch in range(epochs):
        these = schedule.rates(base, epoch, epochs, epoch * steps, steps, state=state)
        assert these.dtype == np.float64 and these.shape in ((1,), (steps,))
        rates.append(np.broadcast_to(these, (steps,)))
        if losses is not None:
            state = json.loads(json.dumps(schedule.observe(state, losses[epoch]), allow_nan=False))
    return np.concatenate(rates)


def by_epoch(schedule, epochs, base=1.0, losses=None):
    """Return the rate of every epoch, (epochs,), of a schedule that changes between epochs only."""
    assert schedule.rates(base, 0, epochs, 0, 5).shape == (1,)
    return curve(schedule, epochs, 5, base, losses)[::5]


def test_hand_computed():
    assert by_epoch(Constant(), 3, 0.1) == pytest.approx([0.1, 0.1, 0.1], abs=0)
    assert by_epoch(Step(2), 5, 0.1) == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])
    assert by_epoch(Step(1, 0.5), 3) == pytest.approx([1, 0.5, 0.25])
    assert by_epoch(Exponential(0.9), 3, 2.0) == pytest.approx([2, 1.8, 1.62])
    assert by_epoch(InverseScaling(), 4) == pytest.approx(
        [1, 1 / math.sqrt(2), 1 / math.sqrt(3), 0.5]
    )
    assert by_epoch(InverseScaling(1.0), 4) == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    quarter = math.sqrt(2) / 4
    assert by_epoch(Cosine(4), 7) == pytest.approx([1, 0.5 + quarter, 0.5, 0.5 - quarter, 0, 0, 0])
    assert by_epoch(Cosine(2, final=0.2), 4, 10.0) == pytest.approx([10, 6, 2, 2])
    assert by_epoch(OneCycle(5, 0.6, 0.1, 0.0, by="epoch"), 6) == pytest.approx(
        [0.1, 0.55, 1, 0.5, 0, 0]
    )


@pytest.mark.parametrize("length", [1, 2, 3])
def test_one_cycle_of_very_few_steps_starts_at_the_peak(length):
    rates = curve(OneCycle(length), 1, length)
    assert rates[0] == 1.0
    assert length == 1 or rates[-1] == pytest.approx(1e-4)


def test_one_cycle_with_a_late_peak():
    rates = curve(OneCycle(10, peak_at=0.9, start_factor=0.0, final_factor=0.5), 1, 12)
    assert (
        rates[0] == 0
        and (np.diff(rates[:9]) > 0).all()
        and rates[8:] == pytest.approx([1, 0.5, 0.5, 0.5])
    )
    assert np.isfinite(curve(OneCycle(10, peak_at=1 - 1e-16), 1, 12)).all()


@pytest.mark.parametrize("cls", [Cosine, OneCycle])
@pytest.mark.parametrize("by", BY)
def test_no_length_is_the_whole_training(cls, by):
    whole = cls(length=12 if by == "epoch" else 12 * 7, by=by)
    assert np.array_equal(curve(cls(by=by), 12, 7), curve(whole, 12, 7))


@pytest.mark.parametrize(
    "schedule",
    [Step(3, 0.5), Exponential(0.9), InverseScaling(), Cosine(11, 0.1), OneCycle(11, by="epoch")],
    ids=lambda schedule: schedule.name,
)
def test_by_step_is_by_epoch_with_steps_as_epochs(schedule):
    stepwise = dataclasses.replace(schedule, by="step")
    assert np.array_equal(curve(stepwise, 4, 5), by_epoch(schedule, 20))


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda by: Step(3, 0.5, by=by), lambda lr, opt: lr.StepLR(opt, 3, 0.5)),
        (lambda by: Exponential(0.95, by=by), lambda lr, opt: lr.ExponentialLR(opt, 0.95)),
        (
            lambda by: Cosine(20, 0.25, by=by),
            lambda lr, opt: lr.CosineAnnealingLR(opt, 20, 0.25 * 0.3),
        ),
        (
            lambda by: OneCycle(20, by=by),
            lambda lr, opt: lr.OneCycleLR(opt, 0.3, 20, final_div_factor=400),
        ),
        (
            lambda by: OneCycle(20, 0.5, 0.2, 0.01, by=by),
            lambda lr, opt: lr.OneCycleLR(
                opt, 0.3, 20, pct_start=0.5, div_factor=5, final_div_factor=20
            ),
        ),
        (
            lambda by: Warmup(6, start_factor=0.1, by=by),
            lambda lr, opt: lr.LinearLR(opt, 0.1 + 0.9 / 6, 1.0, total_iters=5),
        ),
    ],
    ids=["step", "exponential", "cosine", "one_cycle", "one_cycle with options", "warmup"],
)
@pytest.mark.filterwarnings("ignore")  # PyTorch warns that no optimizer step was taken
def test_equals_pytorch(by, ours, theirs):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    scheduler, expected = theirs(torch.optim.lr_scheduler, optimizer), []
    for _ in range(20):
        expected.append(optimizer.param_groups[0]["lr"])
        scheduler.step()
    rates = curve(ours(by), 4, 5, 0.3) if by == "step" else curve(ours(by), 20, 2, 0.3)[::2]
    np.testing.assert_allclose(rates, expected, rtol=1e-12, atol=1e-16)


LOSSES = [
    1.0,
    0.9,
    0.9,
    0.91,
    0.8,
    0.8,
    0.8,
    0.8,
    0.8,
    0.79,
    0.8,
    0.8,
    0.8,
    0.8,
    0.8,
    0.8,
    0.1,
    0.1,
]


def test_plateau():
    rates = by_epoch(Plateau(factor=0.5, patience=2), 8, 0.1, [3, 2, 2, 2, 2, 2, 1, 1])
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025])


def test_plateau_has_a_lowest_rate():
    rates = by_epoch(Plateau(0.1, 1, min_rate=0.003), 5, 0.1, [1] * 5)
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.003, 0.003])
    assert by_epoch(Plateau(0.1, 1, min_rate=0.5), 4, 0.1, [1] * 4) == pytest.approx([0.1] * 4)


def test_plateau_of_an_accuracy_is_when_it_no_longer_rises():
    schedule = Plateau(0.5, 1, min_delta=0.05, monitor="val_accuracy")
    assert by_epoch(schedule, 5, 1.0, [0.5, 0.6, 0.64, 0.7, 0.7]) == pytest.approx(
        [1, 1, 1, 0.5, 0.5]
    )


def test_plateau_counts_nan_as_no_improvement():
    assert by_epoch(Plateau(0.5, 2), 4, 1.0, [math.nan] * 4) == pytest.approx([1, 1, 0.5, 0.5])


@pytest.mark.parametrize("patience", [1, 2, 3])
@pytest.mark.parametrize("min_delta", [0.0, 0.05])
def test_plateau_equals_pytorch(patience, min_delta):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    options = {"threshold": min_delta, "threshold_mode": "abs", "min_lr": 0.001, "eps": 0}
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, "min", 0.2, patience - 1, **options
    )
    expected = []
    for loss in LOSSES:
        expected.append(optimizer.param_groups[0]["lr"])
        scheduler.step(loss)
    ours = by_epoch(Plateau(0.2, patience, min_delta, 0.001), len(LOSSES), 0.3, LOSSES)
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_warmup_rises_linearly():
    assert curve(Warmup(4), 2, 4, 0.1) == pytest.approx(
        [0.025, 0.05, 0.075, 0.1, 0.1, 0.1, 0.1, 0.1]
    )
    assert curve(Warmup(2, start_factor=0.5), 1, 4) == pytest.approx([0.75, 1, 1, 1])
    assert by_epoch(Warmup(2, by="epoch"), 4) == pytest.approx([0.5, 1, 1, 1])


def test_warmup_by_step_then_by_step():
    then = Exponential(0.5, by="step")
    assert curve(Warmup(3, then), 3, 2) == pytest.approx([1 / 3, 2 / 3, 1, 1, 0.5, 0.25])
    # a length of None in what follows is what is left: the last step is one before T
    rest = curve(Cosine(7, by="step"), 1, 7)
    assert curve(Warmup(5, Cosine(by="step")), 3, 4)[5:] == pytest.approx(rest)


def test_warmup_by_step_then_by_epoch():
    # 4 steps an epoch; the rise ends within the second epoch, which is epoch 0 of what follows
    rates = curve(Warmup(5, Exponential(0.5)), 4, 4)
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1] + [0.5] * 4 + [0.25] * 4)
    # where it ends with an epoch, the next is epoch 0
    assert curve(Warmup(4, Exponential(0.5)), 3, 4)[4:] == pytest.approx([1] * 4 + [0.5] * 4)
    assert Warmup(4, Exponential(0.5)).rates(1.0, 2, 3, 8, 4).shape == (1,)


def test_warmup_by_epoch_then_anything():
    assert by_epoch(Warmup(2, Exponential(0.5), by="epoch"), 5) == pytest.approx(
        [0.5, 1, 1, 0.5, 0.25]
    )
    rates = curve(Warmup(1, Exponential(0.5, by="step"), by="epoch"), 3, 2)
    assert rates == pytest.approx([1, 1, 1, 0.5, 0.25, 0.125])
    assert by_epoch(Warmup(3, Cosine(), by="epoch"), 7)[3:] == pytest.approx(by_epoch(Cosine(), 4))


def test_warmup_before_a_plateau_passes_its_state_on():
    schedule = Warmup(2, Plateau(0.5, 2, monitor="val_loss"), by="epoch")
    assert schedule.monitor == "val_loss"
    assert by_epoch(schedule, 6, 1.0, [3, 2, 2, 2, 2, 2]) == pytest.approx([0.5, 1, 1, 1, 0.5, 0.5])


def test_warmup_longer_than_the_training():
    assert curve(Warmup(10, Cosine()), 2, 4) == pytest.approx(np.arange(1, 9) / 10)
    assert np.isfinite(curve(Warmup(2, Cosine(by="step"), by="epoch"), 2, 4)).all()


def test_warmup_takes_a_name():
    assert Warmup(3, "cosine") == Warmup(3, Cosine())


@pytest.mark.parametrize("by", BY)
def test_a_training_beyond_its_plan_stays_at_the_last_rate(by):
    for schedule in (
        Cosine(final=0.1, by=by),
        OneCycle(by=by),
        Warmup(2, Cosine(final=0.1, by=by), by=by),
    ):
        rates = schedule.rates(1.0, 12, 4, 12 * 3, 3)
        assert np.isfinite(rates).all() and (rates <= 0.1).all()


@pytest.mark.parametrize("schedule", [Warmup(3, OneCycle()), Cosine(by="step"), Step(2)])
def test_epochs_can_be_asked_in_any_order(schedule):
    forward = [schedule.rates(0.1, epoch, 5, epoch * 4, 4) for epoch in range(5)]
    for epoch in reversed(range(5)):
        assert np.array_equal(schedule.rates(0.1, epoch, 5, epoch * 4, 4), forward[epoch])


def test_only_plateau_has_a_state():
    for cls in SCHEDULES.values():
        if cls in (Plateau, Warmup):
            continue
        schedule = cls(2) if cls in (Step, Exponential) else cls()
        assert schedule.initial_state() == {} == schedule.observe({}, 1.0)
        assert schedule.monitor is None


def test_resolve_schedule():
    assert resolve_schedule(None) == Constant()
    assert resolve_schedule("cosine") == Cosine()
    assert resolve_schedule(Step(3)) == Step(3)
    with pytest.raises(TypeError, match=r"^schedule must be 'constant', "):
        resolve_schedule(0.1)
    with pytest.raises(ValueError, match=r"Warmup\(length=\.\.\.\)"):
        resolve_schedule("warmup")


def by_hand(schedule, epoch, step, epochs, steps):
    """Return the multiplier of one step of `epochs` of `steps`, by the formulas, in floats."""
    if isinstance(schedule, Warmup):
        t, length = (step, schedule.length) if schedule.by == "step" else (epoch, schedule.length)
        if t < length:
            return schedule.start_factor + (1 - schedule.start_factor) * (t + 1) / length
        in_steps = length if schedule.by == "step" else length * steps
        whole = in_steps // steps
        t, planned = step - in_steps, epochs * steps - in_steps
        if getattr(schedule.then, "by", "step") == "epoch":
            t, planned = epoch - whole, epochs - whole
        return at_time(schedule.then, t, planned)
    by_step = getattr(schedule, "by", "step") == "step"
    return at_time(schedule, *((step, epochs * steps) if by_step else (epoch, epochs)))


def at_time(schedule, t, planned):
    if isinstance(schedule, Constant):
        return 1.0
    if isinstance(schedule, Step):
        return schedule.factor ** (t // schedule.every)
    length = schedule.length or planned
    if isinstance(schedule, Cosine):
        wave = (1 + math.cos(math.pi * min(t / length, 1))) / 2
        return schedule.final + (1 - schedule.final) * wave
    peak = max(schedule.peak_at * length - 1, 0)
    low, high, share = schedule.start_factor, 1.0, t / (peak or 1)
    if t >= peak:
        low, high = 1.0, schedule.final_factor
        share = min((t - peak) / ((length - 1 - peak) or 1), 1)
    return high + (low - high) * (1 + math.cos(math.pi * share)) / 2


@pytest.mark.parametrize("epochs", [1, 2, 5])
@pytest.mark.parametrize("steps", [1, 3, 4])
def test_every_step_by_hand(epochs, steps):
    """Rises that end within an epoch, at its end and after the training; lengths beyond the end."""
    timed = [Step(2, 0.5, by=by) for by in BY]
    timed += [
        cls(length, by=by) for cls in (Cosine, OneCycle) for length in (None, 3, 50) for by in BY
    ]
    rising = [
        Warmup(n, then, 0.1, by=by)
        for n in (1, 3, 4, 7)
        for by in BY
        for then in (*timed, "constant")
    ]
    for schedule in (*timed, *rising):
        expected = [
            by_hand(schedule, step // steps, step, epochs, steps) for step in range(epochs * steps)
        ]
        np.testing.assert_allclose(curve(schedule, epochs, steps), expected, atol=1e-15)


def test_a_power_too_large_or_small_for_a_float_is_no_error_of_its_own():
    with np.errstate(all="raise"):
        assert Exponential(0.5).rates(1.0, 2000, 3000, 0, 1) == [0.0]
        assert Exponential(2.0).rates(1.0, 2000, 3000, 0, 1) == [math.inf]
        assert Step(1, 1e-9).rates(1.0, 99, 100, 0, 1) == [0.0]
