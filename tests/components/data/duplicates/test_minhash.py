"""Sketches: alike for texts that share words, whatever they were sketched with."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.duplicates import minhash
from components.data.duplicates.minhash import Matching, Sketches, normalise, sketch, word_hashes

WORDS = [f"w{n}" for n in range(600)]


def jaccard(one, other, size=3):
    sets = [{tuple(w[i : i + size]) for i in range(len(w) - size + 1)} for w in (one, other)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@pytest.mark.parametrize("shared", [100, 300, 500])
def test_signatures_estimate_the_jaccard_similarity_of_the_ngrams(shared):
    one, other = WORDS[:550], WORDS[:shared] + [f"x{n}" for n in range(550 - shared)]
    matching = Matching(num_permutations=1024)
    signatures = sketch([" ".join(one), " ".join(other)], matching).signatures
    estimate = (signatures[0] == signatures[1]).mean()
    assert estimate == pytest.approx(jaccard(one, other), abs=4 * 0.5 / 1024**0.5)


def test_samples_are_one_in_so_many_of_the_passages_and_a_part_keeps_its_own():
    text = " ".join(WORDS)
    whole = sketch([text], Matching(sample_one_in=1)).samples
    assert len(whole) == len(WORDS) - 8 + 1
    sampled = sketch([text, " ".join(WORDS[100:400])], Matching(sample_one_in=4))
    count, part = sampled.num_samples.astype(int)
    assert 100 < count < 200
    assert set(sampled.samples[count:]) <= set(sampled.samples[:count])
    assert part == len(sampled.samples) - count > 40
    assert list(sampled.samples[:count]) == sorted(sampled.samples[:count])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text(max_size=60), max_size=6), st.integers(min_value=1, max_value=90))
def test_a_sketch_does_not_depend_on_what_is_sketched_with_it(texts, size):
    together = sketch(texts, Matching(ngram_size=2, passage_ngram_size=2, sample_one_in=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minhash, "BATCH_CHARACTERS", size)
        alone = [
            sketch([t], Matching(ngram_size=2, passage_ngram_size=2, sample_one_in=1))
            for t in texts
        ]
    for name in Sketches._fields:
        apart = [getattr(one, name) for one in alone]
        if apart:
            assert np.array_equal(getattr(together, name), np.concatenate(apart)), name
        else:
            assert not len(getattr(together, name))


@settings(deadline=None, max_examples=40)
@given(st.text(alphabet="ab é\u4e2d.\n\tÄß", max_size=40))
def test_case_and_white_space_and_punctuation_change_no_word(text):
    loud = text.upper().replace(" ", " ,\n")
    one, other = sketch([text], Matching()), sketch([loud], Matching())
    assert np.array_equal(one.signatures, other.signatures)
    assert one.num_words == other.num_words


def test_words_are_counted_in_scripts_with_and_without_spaces():
    texts = [
        "Don't re-do it, 3x!",
        "\u4eca\u5929 \u5929\u6c14",
        "\u0e01\u0e02",
        "",
        " - ",
        "naïve Straße",
    ]
    assert sketch(texts, Matching()).num_words.tolist() == [6, 4, 2, 0, 0, 2]


@pytest.mark.parametrize("count", [3, 40])
def test_few_and_many_odd_characters_part_words_alike(count):
    odd = [chr(code) for code in range(0x2190, 0x2190 + count)]
    text = "é".join(odd) + "é\u4eca" + "".join(odd) + "हिन्दी"
    assert sketch([text], Matching()).num_words.tolist() == [count + 2]


def test_the_digest_is_that_of_the_normalised_text():
    text = "  Two\nWORDS\u00a0\u2028here "
    assert normalise(text) == "two words here"
    expected = hashlib.sha256(b"two words here").digest()[:16]
    assert sketch([text], Matching()).digests.tobytes() == expected


def test_equal_words_have_equal_hashes_wherever_they_stand():
    text = b" ".join([b"some", b"words", b"x" * 300_000, b"some"] * 3)
    starts, hashes = word_hashes(text)
    assert [text[start : start + 4] for start in starts[[0, 3]]] == [b"some", b"some"]
    assert len(starts) == 12
    assert len(set(hashes.tolist())) == 3
    assert np.array_equal(hashes[:4], hashes[4:8])


def test_the_hashes_of_many_words_are_all_different():
    words = [f"{a}{b}{c}" for a in "abcdefghij" for b in "klmnopqrst" for c in range(500)]
    _, hashes = word_hashes(" ".join(words).encode())
    assert len(set(hashes.tolist())) == len(words)
