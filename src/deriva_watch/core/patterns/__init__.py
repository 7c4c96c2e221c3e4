"""Regular expressions that others wrote: held against a name for a limited time only."""

from deriva_watch.core.patterns.pattern import Pattern, TooSlowError

__all__ = ["Pattern", "TooSlowError"]
