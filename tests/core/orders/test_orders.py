"""Orders as JSON: what a release does not know it does not carry out."""

import pytest

from deriva_watch.core.orders.orders import KINDS, Retry, parse


def test_an_order_is_read_as_it_was_written():
    order = Retry(rid="1-AAAA", this_catalog=True, by="alice", reason="the disk is mended")

    assert parse(order.document()) == order
    assert KINDS[order.document()["kind"]] is Retry


def test_an_order_of_the_first_releases_is_to_try_again():
    order = parse({"rid": None, "this_catalog": False})

    assert order == Retry(rid=None, by="somebody")


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ([], "it is not a JSON object"),
        ({"kind": "fly", "by": "alice"}, "this release has no order 'fly'"),
        ({"kind": ["retry"], "by": "alice"}, "this release has no order ['retry']"),
        ({"rid": None, "gently": True}, "this release has no field 'gently' in an order 'retry'"),
        ({"rid": 7}, "7 is not a valid 'rid' of an order 'retry'"),
        ({"rid": None, "by": None}, "None is not a valid 'by' of an order 'retry'"),
        ({"kind": "reclaim", "older_than_s": 1e300}, "1e+300 is not a length of time"),
        ({"kind": "reclaim", "older_than_s": float("nan")}, "NaN"),
        ({"this_catalog": True}, "something of it is missing"),
    ],
)
def test_what_is_no_order_is_told(document, why):
    with pytest.raises(ValueError, match=r".") as told:
        parse(document)

    assert why in str(told.value)
