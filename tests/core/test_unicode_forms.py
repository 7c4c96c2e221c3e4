"""Texts that differ only in their Unicode form."""

from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.given import patient
from deriva_watch.core.model import Column
from deriva_watch.core.unicode_forms import composed, respelled, with_forms
from deriva_watch.core.values import same

NFC, NFD = (normalize(form, "José") for form in ("NFC", "NFD"))
TEXT = Column("Name", "text", nullable=True, has_default=False)


@pytest.mark.parametrize(
    ("asked", "known", "found"),
    [
        ([NFD], [NFC, "x"], {NFD: NFC}),
        ([NFC], [NFD], {NFC: NFD}),
        ([NFD], [NFC, NFD], {}),  # exactly so
        (["é"], ["É", "e"], {}),  # another letter is not another form
        (["é" + NFD], [normalize("NFC", "é") + NFD, "e\u0301" + NFC], {}),  # exactly so, once more
        (["é" + normalize("NFD", "é")], ["éé", normalize("NFD", "éé")], {}),  # which one?
    ],
)
def test_a_text_is_found_in_another_form_only_if_it_is_not_there_and_one_form_is(
    asked, known, found
):
    assert respelled(asked, known) == found


@patient
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12))
def test_every_form_of_a_text_is_asked_for_and_means_the_same(text):
    for form in with_forms([text]):
        assert composed(form) == composed(text)
        assert same(TEXT, form, text)
    assert {text, normalize("NFC", text), normalize("NFD", text)} <= set(with_forms([text]))
