"""Benchmarks: the same training and inference work given to fastmlp and to its rivals, side by side."""
