"""The long-running process: service loop, workers, supervisor, reload, reverification.

Work on one unit belongs in `watch`, `pipeline` or `cleanup`.
"""
