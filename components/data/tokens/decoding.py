"""Token shards as text again, a run of whole documents at a time."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.data.pieces import Piece
from components.lib.examples.documents import DOCUMENT_STARTS, Documents

_PIECE_TOKENS = 1 << 22
_BATCH_TOKENS = 1 << 17
_NUM_BYTES = 256


class Decoder:
    """Ids to text, without special tokens."""

    def __init__(self, vocabulary: Path) -> None:
        """Read `tokenizer.json` in the folder."""
        from tokenizers import Tokenizer

        file = vocabulary / "tokenizer.json"
        self._tokenizer = Tokenizer.from_file(str(file))
        self._tokenizer.encode_special_tokens = True
        added = self._tokenizer.get_added_tokens_decoder().values()
        kind = (json.loads(file.read_text("utf-8")).get("decoder") or {}).get("type")
        is_plain = kind == "ByteLevel" and all(token.special for token in added)
        self._bytes = self._token_bytes() if is_plain else None
        self.is_exact = is_plain and self._tokenizer.normalizer is None
        """Whether every text comes back as it was."""

    def texts(self, documents: Sequence[NDArray[np.integer[Any]]]) -> list[str]:
        """Return the text of each array of ids; bytes that are no UTF-8 become U+FFFD."""
        if self._bytes is None:
            ids = [document.tolist() for document in documents]
            return self._tokenizer.decode_batch(ids, skip_special_tokens=True)
        of = self._bytes.__getitem__  # seven times as fast as the tokenizer's own
        joined = (b"".join(map(of, document.tolist())) for document in documents)
        return [text.decode("utf-8", errors="replace") for text in joined]

    def again(self, text: str) -> str:
        """Return what is left of a text that is encoded and decoded."""
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        return self.texts([np.array(ids, np.int64)])[0]

    def _token_bytes(self) -> list[bytes]:
        special = self._tokenizer.get_added_tokens_decoder()
        byte_of = _byte_of_letter()
        table = [b""] * self._tokenizer.get_vocab_size()
        for token, index in self._tokenizer.get_vocab().items():
            if index not in special:
                table[index] = bytes(byte_of[letter] for letter in token)
        return table


class DecodedDocuments:
    """The documents of a split of token shards, as text."""

    def __init__(self, folder: Path, vocabulary: Path) -> None:
        """Map the shards and the index of documents in `folder`.

        Raises:
            ValueError: there is no index.
        """
        self._folder, self._documents = folder, Documents(folder)
        self.decoder = Decoder(vocabulary)
        """What turns ids to text."""
        self._shards = [np.load(file, mmap_mode="r") for file in sorted(folder.glob("shard_*.npy"))]
        self._offsets = np.cumsum([0, *map(len, self._shards)])

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self._documents)

    def pieces(self) -> Iterator[Piece]:
        """Yield runs of whole documents: `start` and `end` count documents, not bytes."""
        bounds = _runs(self._documents.starts, 0, len(self), _PIECE_TOKENS)
        file = str(self._folder / DOCUMENT_STARTS)
        for number, (start, end) in enumerate(bounds):
            yield Piece(number=number, file=file, start=start, end=end)

    def read(self, start: int, end: int) -> Iterator[tuple[int, str]]:
        """Yield the number and the text of the documents from `start` to the one before `end`."""
        starts = self._documents.starts
        for first, after in _runs(starts, start, end, _BATCH_TOKENS):
            ids = [self._tokens(*starts[n : n + 2].tolist()) for n in range(first, after)]
            yield from zip(range(first, after), self.decoder.texts(ids), strict=True)

    def spread(self, number: int) -> list[str]:
        """Return at most `number` documents taken evenly from all."""
        chosen = np.unique(np.linspace(0, len(self) - 1, min(number, len(self))).astype(np.int64))
        return [text for n in chosen.tolist() for _, text in self.read(n, n + 1)]

    def ids(self, documents: list[int]) -> list[str]:
        """Return the ids of documents by their number."""
        return self._documents.ids(documents)

    def _tokens(self, start: int, end: int) -> NDArray[np.integer[Any]]:
        """Return tokens of the stream, from any number of shards."""
        first = int(np.searchsorted(self._offsets, start, side="right")) - 1
        after = int(np.searchsorted(self._offsets, end, side="left"))
        parts = [
            shard[max(0, start - offset) : end - offset]
            for shard, offset in zip(
                self._shards[first:after], self._offsets[first:after].tolist(), strict=True
            )
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _runs(
    starts: NDArray[np.int64], first: int, after: int, num_tokens: int
) -> Iterator[tuple[int, int]]:
    """Yield runs of whole documents of at most `num_tokens`, or of one document."""
    while first < after:
        end = int(np.searchsorted(starts, starts[first] + num_tokens, side="right")) - 1
        end = min(after, max(first + 1, end))
        yield first, end
        first = end


def _byte_of_letter() -> dict[str, int]:
    """Return the byte that each letter of byte-level tokens stands for (Radford et al. 2019).

    Printable characters of Latin-1 stand for themselves, those from U+0100 on for the others.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, _NUM_BYTES)]
    others = [byte for byte in range(_NUM_BYTES) if byte not in set(printable)]
    known = {chr(byte): byte for byte in printable}
    return known | {chr(_NUM_BYTES + place): byte for place, byte in enumerate(others)}
