"""One attempt at one unit, from its files to receipt and status; `build` makes all parts.

Deciding when to try belongs in `daemon`; how bytes and rows are sent in `engine`.
"""
