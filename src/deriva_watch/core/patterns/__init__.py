"""Regular expressions that others wrote: matched against names within a time limit."""

from deriva_watch.core.patterns.pattern import Pattern, TooSlowError

__all__ = ["Pattern", "TooSlowError"]
