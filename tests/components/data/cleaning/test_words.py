"""Words and sentences are datatrove's own, to the last one."""

from itertools import islice

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.data.cleaning import words
from components.data.repository import library, speeches


@pytest.fixture(scope="module")
def peers():
    from datatrove.utils.word_tokenizers import load_word_tokenizer

    return words.tokenizer("en"), load_word_tokenizer("en")


def _texts() -> list[str]:
    """Return prose and technical text with many a mark of punctuation."""
    whole = [*islice(library.documents(), 20), *islice(speeches.documents(), 3)]
    return [document.text[:20_000] for document in whole]


def test_words_of_real_documents_are_those_of_datatrove(peers):
    ours, theirs = peers
    assert ours is not theirs
    for text in _texts():
        assert ours.word_tokenize(text) == theirs.word_tokenize(text)


def test_sentences_of_real_lines_are_those_of_datatrove(peers):
    ours, theirs = peers
    lines = [line.strip() for text in _texts()[::4] for line in text.splitlines()][:400]
    assert any(len(ours.span_tokenize(line)) > 1 for line in lines)
    for line in lines:
        assert ours.span_tokenize(line) == theirs.span_tokenize(line)
        assert ours.sent_tokenize(line) == theirs.sent_tokenize(line)


@settings(max_examples=60, deadline=None)
@given(text=st.text(alphabet="aBe. ?!…\"'()-,\n\u00a01$:"))
@example("One. Two... (Three!) 4.")
@example("")
def test_any_text_is_cut_as_datatrove_cuts_it(peers, text):
    ours, theirs = peers
    assert ours.word_tokenize(text) == theirs.word_tokenize(text)
    assert ours.span_tokenize(text) == theirs.span_tokenize(text)


def test_the_word_that_spacy_fails_on_is_cut_the_same_each_time(peers):
    ours, _ = peers
    text = "IS_ALPHA is a word. So is IS_ALPHA."
    first = ours.word_tokenize(text), ours.span_tokenize(text)
    assert first == (ours.word_tokenize(text), ours.span_tokenize(text))
    assert len(first[0]) == 9
    assert len(first[1]) == 2


def test_forgetting_changes_nothing(peers, monkeypatch):
    ours, theirs = peers
    monkeypatch.setattr(words, "_REMEMBERED", 10)
    for text in _texts()[:3]:
        assert ours.word_tokenize(text) == theirs.word_tokenize(text)


def test_a_language_that_datatrove_does_not_know_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="'xx-none'"):
        words.tokenizer("xx-none")
