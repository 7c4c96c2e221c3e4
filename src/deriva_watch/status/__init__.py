"""Views of the journal that change nothing: values for programs, tables for people."""

from deriva_watch.edges.journal import open_readonly as open_views
from deriva_watch.status.text import render_details, render_summary, show
from deriva_watch.status.views import details, summary

__all__ = ["details", "open_views", "render_details", "render_summary", "show", "summary"]
