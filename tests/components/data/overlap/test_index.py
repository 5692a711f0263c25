"""The index of evaluation n-grams: no disguise hides one, and nothing else is found."""

import unicodedata
from itertools import islice
from random import Random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.data.overlap import index as module
from components.data.overlap.index import MIN_LETTERS, EvaluationItem, Overlap
from components.data.overlap.letters import letters, places
from components.data.overlap.passages import shared
from components.data.repository import speeches

ITEM = EvaluationItem(
    "trivia",
    "7",
    "The quick brown fox doesn't jump over lazy dogs while 3 well-known judges of vast quartz vow.",
)
PUNCTUATION = list(" \n\t\u00a0\u2028.,;:!?-_'\"()[]{}#*/&\u2014\u2019\u201c\u2026\u00ad\u200b")
# every script of the basic plane, and signs that stand for several letters or for none
TEXT = st.text(st.characters(codec="utf-8"), max_size=60) | st.text(
    st.characters(max_codepoint=0xFF)
)


def _spelt(text: str) -> str:
    return "".join(map(chr, letters(text)))


def _disguised(text: str, random: Random) -> str:
    """Return `text` with any marks and line ends between any letters, and in any case."""
    marks = ("".join(random.choices(PUNCTUATION, k=random.randrange(3))) for _ in text)
    cased = (random.choice((str.upper, str.lower))(mark) for mark in text if mark.isalnum())
    return "".join(mark + letter for mark, letter in zip(marks, cased, strict=False))


@settings(deadline=None)
@given(text=TEXT)
@example("Straße ﬁn ½ İstanbul \u0131s\u0131 ŉ ΑΣ σς ᾳ ㎏ é ḍ̇ ⅷ \u0345")
def test_case_and_canonical_form_leave_the_letters_as_they_are(text):
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert _spelt(unicodedata.normalize(form, text)) == _spelt(text)
    for cased in (text.upper(), text.lower(), text.casefold()):
        assert _spelt(cased) == _spelt(text)


@settings(deadline=None)
@given(left=TEXT, right=TEXT, mark=st.sampled_from(PUNCTUATION))
def test_letters_of_parts_are_those_of_the_whole_whatever_stands_between(left, right, mark):
    assert _spelt(left) + _spelt(right) == _spelt(left + mark + right)


@settings(deadline=None)
@given(text=TEXT)
def test_every_letter_has_its_place_in_the_text(text):
    place = places(text, np.arange(len(letters(text)))).tolist()
    assert place == sorted(place)
    assert "".join(_spelt(text[at]) for at in dict.fromkeys(place)) == _spelt(text)


def test_long_texts_are_worked_on_in_chunks_and_give_the_same(texts, monkeypatch):
    text = "\n".join([*texts, "Straße", texts[0]])
    wanted = np.array([5, 90, 4, len(letters(text)) - 1])
    whole = _spelt(text), places(text, wanted).tolist()
    monkeypatch.setattr("components.data.overlap.letters._CHUNK", 17)
    assert (_spelt(text), places(text, wanted).tolist()) == whole


def test_letters_are_known_ones():
    assert _spelt("Don't RE-\nwrap: 1,000 Ünïcode\u00ad ﬁ½!") == "dontrewrap1000unicodefi12"
    assert _spelt("") == _spelt(" .,\n") == _spelt("\u2026") == ""


@settings(deadline=None)
@given(random=st.randoms(use_true_random=True))
def test_no_wrapping_spacing_case_or_punctuation_hides_an_ngram(random):
    text = _disguised(ITEM.text, random)
    index = Overlap.build([ITEM], 13)
    plain = [hit.ngram for hit in index.hits(letters(ITEM.text))]
    assert len(plain) == len(index) == 6  # of 18 words
    assert [hit.ngram for hit in index.hits(letters(f"Before it. {text} And after."))] == plain


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [speech.text for speech in islice(speeches.documents(), 4)]


def _by_substring(items: list[EvaluationItem], text: str, size: int) -> set[tuple[str, str]]:
    """Return what is found by the definition, in plain Python: (set, letters) of each n-gram."""
    found, spelt = set[tuple[str, str]](), _spelt(text)
    for item in items:
        words = [_spelt(word) for word in item.text.split()]
        for start in range(len(words)):
            after = start + size
            while after < len(words) and len("".join(words[start:after])) < MIN_LETTERS:
                after += 1
            ngram = "".join(words[start:after])
            if after <= len(words) and len(ngram) >= MIN_LETTERS and ngram in spelt:
                found.add((item.set, ngram))
    return found


def _by_index(index: Overlap, text: str) -> set[tuple[str, str]]:
    spelt = _spelt(text)
    return {
        (index.listing.sets[int(index.items[hit.ngram])], spelt[hit.start : hit.end])
        for hit in index.hits(letters(text))
    }


@pytest.mark.parametrize("block", [1, 50, 1 << 14])
def test_the_index_finds_what_a_search_for_substrings_finds(monkeypatch, block):
    monkeypatch.setattr(module, "_BLOCK", block)
    random, words = Random(3), ["a", "bc", "aa", "12", "long", "longer", "sentence"]
    for _ in range(20):
        lines = [" ".join(random.choices(words, k=30)) for _ in range(6)]
        items = [EvaluationItem(f"set {n % 2}", str(n), line) for n, line in enumerate(lines)]
        text = " ".join(line[random.randrange(40) : 60 + random.randrange(60)] for line in lines)
        found = _by_index(Overlap.build(items, 6), text)
        assert found == _by_substring(items, text, 6)
        assert found


def test_hashes_that_collide_find_nothing_that_is_not_there(texts, monkeypatch):
    monkeypatch.setattr(module, "_BASE", 1)  # the hash is now the sum of the letters
    module._powers.cache_clear()
    try:
        items = [EvaluationItem("speech", "0", texts[0])]
        index = Overlap.build(items, 13)
        assert index.hits(letters(texts[1])) == []
        again = " ".join(reversed(texts[0].split()))
        assert index.hits(letters(again)) == []
        assert list(index._candidates(letters(again), 0)), "none has the hash of an n-gram"
    finally:
        module._powers.cache_clear()


def test_twelve_words_in_a_row_are_no_overlap_and_thirteen_are(texts):
    words = [word for word in texts[0].split() if word.isalpha()]
    index = Overlap.build([EvaluationItem("speech", "0", " ".join(words[:200]))], 13)
    assert not index.hits(letters(f"It is. {' '.join(words[40:52])} zzz {' '.join(words[60:72])}"))
    (hit,) = index.hits(letters(f"It is. {' '.join(words[40:53])} zzz"))
    assert (hit.start, hit.end) == (4, 4 + len("".join(words[40:53])))


def test_an_item_of_few_words_is_found_whole_and_one_of_few_letters_is_not_looked_for():
    items = [
        EvaluationItem("quiz", "whole", "Photosynthesis requires electromagnetic radiation"),
        EvaluationItem("quiz", "short", "What is 3 + 4?"),
        EvaluationItem("quiz", "digits", "1 2 3 4 5 6 7 8 9 10 11 12 13 14"),
        EvaluationItem("other", "empty", " . "),
    ]
    index = Overlap.build(items, 13)
    assert index.listing.too_short == {"quiz": 2, "other": 1}
    assert len(index) == 1
    found = shared(index, "We read: PHOTOSYNTHESIS\nrequires electro-\nmagnetic radiation; yes.")
    assert found is not None
    assert found.items == "quiz/whole"
    assert found.words == "PHOTOSYNTHESIS\nrequires electro-\nmagnetic radiation"
    assert shared(index, "Photosynthesis requires electromagnetic waves. What is 3 + 4?") is None


def test_of_a_script_without_spaces_two_letters_are_a_word():
    text = "床前明月光疑是地上霜举头望明月低头思故乡白日依山尽黄河入海流欲穷千里目更上一层楼"
    index = Overlap.build([EvaluationItem("poems", "1", text)], 13)
    assert index.hits(letters(f"诗。\n{text[2:10]}\n{text[10:]}\uff0c好"))
    assert not index.hits(letters(text[:20] + "一" + text[20:]))


def test_the_items_the_sets_and_the_words_are_told_as_they_stand_in_the_text(texts):
    sentence = "the propitious smiles of Heaven can never be expected on a nation that disregards"
    items = [EvaluationItem("a", f"a/{n}", f"{n} {sentence} {n}") for n in range(12)] + [
        EvaluationItem("b", "1", sentence + " it"),
        ITEM,
    ]
    wrapped = sentence.replace(" ", "\n").upper()
    found = shared(Overlap.build(items, 13), f"«Ein Wort». {wrapped}! Then: {ITEM.text}")
    assert found is not None
    assert found.sets == ["a", "b", "trivia"]
    assert found.items.startswith("a/0, ")
    assert found.words == ITEM.text[:-1]
    assert [wrapped, ITEM.text[:-1]] == [
        f"«Ein Wort». {wrapped}! Then: {ITEM.text}"[start:end] for start, end in found.passages
    ]


def test_an_index_that_is_saved_finds_the_same(texts, tmp_path):
    index = Overlap.build(
        [EvaluationItem("speech", str(n), text) for n, text in enumerate(texts)], 13
    )
    index.save(tmp_path / "index")
    loaded = Overlap.load(tmp_path / "index")
    text = letters(" ".join(texts[2].split()[50:300]))
    assert loaded.hits(text) == index.hits(text) != []
    assert loaded.listing == index.listing
    assert loaded.summary() == index.summary()


def test_ngrams_that_are_left_out_are_not_found_and_others_are(texts):
    index = Overlap.build([EvaluationItem("speech", "0", texts[0])], 13)
    text = letters(texts[0])
    hits = index.hits(text)
    fewer = index.without(np.array([hits[0].ngram, hits[7].ngram]))
    starts = [hit.start for hit in hits]
    assert [hit.start for hit in fewer.hits(text)] == starts[1:7] + starts[8:]
