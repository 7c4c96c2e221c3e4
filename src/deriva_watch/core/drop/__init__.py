"""Drop folders as values: what one declares, and the mapping it compiles to.

The settings that describe one are read in `settings/drop_folder`.
"""
