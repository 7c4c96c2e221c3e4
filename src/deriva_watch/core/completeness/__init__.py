"""Decides when a unit is complete: observations, evidence, the verdict and the debounce queue.

Looking at the disk belongs in `watch` and `edges/disk`.
"""
