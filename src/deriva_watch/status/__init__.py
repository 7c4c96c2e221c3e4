"""Views of the journal that change nothing: values for programs, tables for people.

views      the values: `summary`, `details`; parts of them are `standing` and `headline`
past       the same for `history`
receipt    the same for receipts
web        the same for the status page, with asking, guard, rendering and stream
serving    the page as a part of the daemon, which listens (`listening`) in a thread of its own
meter      what is counted of the events; `gauges` tells how things stand, `alerts.yml` when to act
day        sent and backlog (`backlog`) of the last day, for a chart
plain      values as JSON can carry them
board      `status` for people; `watching` repeats it
story      `show` for people, with a `timeline` and a `verdict`
text       what these are made of
units      numbers, sizes and times as people say them
"""

from deriva_watch.edges.journal import open_readonly as open_views
from deriva_watch.status.text.board import render_summary
from deriva_watch.status.text.history import endings, render_endings
from deriva_watch.status.text.story import render_details
from deriva_watch.status.text.text import show
from deriva_watch.status.views import details, kept_receipts, summary

__all__ = [
    "details",
    "endings",
    "kept_receipts",
    "open_views",
    "render_details",
    "render_endings",
    "render_summary",
    "show",
    "summary",
]
