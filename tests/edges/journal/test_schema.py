"""The tables of the journal, for either database."""

import pytest
from sqlalchemy import create_mock_engine

from deriva_watch.edges.journal.schema import metadata


@pytest.mark.parametrize("url", ["sqlite://", "postgresql+pg8000://"])
def test_an_index_of_some_rows_is_one_in_either_database(url):
    said = []
    engine = create_mock_engine(
        url,
        lambda sql, *_, **__: said.append(
            " ".join(str(sql.compile(dialect=engine.dialect)).split())
        ),
    )

    metadata.create_all(engine, checkfirst=False)

    assert "CREATE INDEX execution_held ON execution (id) WHERE held IS NOT NULL" in said
