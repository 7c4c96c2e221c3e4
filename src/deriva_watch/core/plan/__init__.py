"""Gives an answer for every file of a unit: an asset, rows, ignored, unmatched or refused.

Reading files and asking the catalog belong in `pipeline`.
"""
