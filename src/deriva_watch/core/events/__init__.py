"""Every event the program reports: names, levels and fields.

Rendering belongs in `edges/host/log`.
"""
