"""Tokenizers of each kind, trained by `tokenizers`; every text there is has tokens in each of them.

All but `characters` work on the bytes of UTF-8, written in the alphabet of ByteLevel (Radford et
al. 2019), so that nothing is unknown and a text comes back to the last byte. What only some texts
have (a rare character, a byte no sample held) costs more tokens, never information: bits per byte
of models with different tokenizers compare.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.pre_tokenizers import PreTokenizer

SubwordKind = Literal["bpe", "unigram", "wordpiece", "character", "byte"]

_SCORE_DIGITS = 9  # of Unigram's log probabilities: what the order of a sum does not reach
_SCORE_STEP = 0.0001  # between the scores that Unigram's trainer gives to bytes it adds at the end
_CONTINUING = "\u2040"  # a tie; WordPiece's usual ## is text too, and would be taken for it
_LONGEST_WORD = 64  # bytes; WordPiece looks for the longest token, in time quadratic in the word


def train(
    kind: SubwordKind, texts: Iterator[str], vocab_size: int, special_tokens: list[str]
) -> "Tokenizer":
    """Return a tokenizer of at most `vocab_size` ids, the special tokens first among them."""
    if kind == "bpe":
        return _bpe(texts, vocab_size, special_tokens)
    if kind == "unigram":
        return _unigram(texts, vocab_size, special_tokens)
    if kind == "wordpiece":
        return _wordpiece(texts, vocab_size, special_tokens)
    if kind == "character":
        return _characters(texts, vocab_size, special_tokens)
    return _bytes(special_tokens)


def alphabet() -> list[str]:
    """Return the 256 characters that stand for a byte each."""
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def _words() -> "list[PreTokenizer]":
    """Return what cuts a text into digits and words, in the alphabet of bytes."""
    from tokenizers.pre_tokenizers import ByteLevel, Digits

    return [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]


def _bpe(texts: Iterator[str], vocab_size: int, special_tokens: list[str]) -> "Tokenizer":
    """Merge the most frequent pair, again and again (Sennrich et al. 2016)."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(_words())
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=alphabet(),
        special_tokens=special_tokens,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _unigram(texts: Iterator[str], vocab_size: int, special_tokens: list[str]) -> "Tokenizer":
    """Keep the pieces that make the text most likely (Kudo 2018), over bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(_words())
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size,
        initial_alphabet=alphabet(),
        special_tokens=special_tokens,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    pieces: list[tuple[str, float]] = json.loads(tokenizer.to_str())["model"]["vocab"]
    tokenizer.model = models.Unigram(vocab=_in_order(pieces, len(special_tokens)))
    return tokenizer


def _in_order(pieces: list[tuple[str, float]], num_special: int) -> list[tuple[str, float]]:
    """Return the pieces as any run would: the trainer sums, and sorts, in a random order.

    It scores the bytes that it did not keep from the lowest score upwards, one step each, by
    chance; here they all have the lowest.
    """
    lowest = round(min(score for _, score in pieces[num_special:]), _SCORE_DIGITS)
    scores: dict[str, float] = {}
    for piece, score in pieces[num_special:]:
        is_filled_in = len(piece) == 1 and score <= lowest + 257 * _SCORE_STEP
        scores[piece] = lowest if is_filled_in else round(score, _SCORE_DIGITS)
    ordered = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return [(piece, 0.0) for piece, _ in pieces[:num_special]] + ordered


def _wordpiece(texts: Iterator[str], vocab_size: int, special_tokens: list[str]) -> "Tokenizer":
    """Take the longest token that a word begins with (Schuster and Nakajima 2012), over bytes.

    Words are cut after 64 bytes, and each byte has a token at the start and one inside a word.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    model = models.WordPiece(continuing_subword_prefix=_CONTINUING)
    tokenizer = Tokenizer(model)
    short = pre_tokenizers.Split(Regex(f".{{1,{_LONGEST_WORD}}}"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*_words(), short])
    inside = [_CONTINUING + character for character in alphabet()]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        initial_alphabet=alphabet(),
        special_tokens=[*special_tokens, *inside],  # the trainer adds nothing else for certain
        continuing_subword_prefix=_CONTINUING,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    trained = Tokenizer(
        models.WordPiece(
            vocab=tokenizer.get_vocab(),
            unk_token=special_tokens[0],  # the model wants one; no text gets it
            max_input_chars_per_word=_LONGEST_WORD,
            continuing_subword_prefix=_CONTINUING,
        )
    )
    trained.add_special_tokens(special_tokens)
    trained.pre_tokenizer = tokenizer.pre_tokenizer
    trained.decoder = decoders.Sequence([decoders.Replace(_CONTINUING, ""), decoders.ByteLevel()])
    return trained


def _characters(texts: Iterator[str], vocab_size: int, special_tokens: list[str]) -> "Tokenizer":
    """Take the most frequent characters; the others are the bytes of their UTF-8."""
    from tokenizers import Tokenizer, decoders, models

    counts = Counter[str]()
    for text in texts:
        counts.update(text)
    tokens = [*special_tokens, *(f"<0x{byte:02X}>" for byte in range(256))]
    frequent = sorted(counts, key=lambda character: (-counts[character], character))
    tokens += frequent[: max(0, vocab_size - len(tokens))]
    vocab = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[], byte_fallback=True))
    tokenizer.add_special_tokens(special_tokens)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer


def _bytes(special_tokens: list[str]) -> "Tokenizer":
    """Take the 256 bytes and nothing else (Xue et al. 2022, ByT5)."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocab = {token: index for index, token in enumerate([*special_tokens, *alphabet()])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.add_special_tokens(special_tokens)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
