"""The long-running process: service loop, workers, supervisor, reload.

Work on one unit belongs in `watch`, `pipeline` or `cleanup`.
"""
