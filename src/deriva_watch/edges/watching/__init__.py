"""File system events: observers, inotify limits, the probe that chooses between them.

An event only hints that somewhere should be looked at; looking belongs in `watch`.
"""
