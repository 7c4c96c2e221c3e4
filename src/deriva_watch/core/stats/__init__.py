"""Counts and rates over time, for `status` and metrics."""
