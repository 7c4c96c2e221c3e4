"""Samples for the chart of the last day: one row a step, and none for long."""

from dataclasses import asdict, replace

from sqlalchemy import Connection, delete, insert, select

from deriva_watch.core.day import KEPT, Sample
from deriva_watch.edges.journal.schema import sample


def keep(connection: Connection, new: Sample) -> None:
    """Write *new*; where there is one of the same step already, what both sent is added up."""
    same = sample.c.at == new.at
    sent_bytes = connection.scalar(select(sample.c.sent_bytes).where(same)) or 0
    connection.execute(delete(sample).where(same | (sample.c.at < new.at - KEPT)))
    connection.execute(insert(sample), asdict(replace(new, sent_bytes=new.sent_bytes + sent_bytes)))
