"""A training: its settings, its session, the engine run in slices of time."""
