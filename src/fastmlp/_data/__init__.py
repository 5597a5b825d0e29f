"""Rows checked against a model: inputs, targets, weights."""
