"""Benchmarks: the same training and inference given to fastmlp and to its rivals, side by side."""
