"""Tokenize: clean documents and a vocabulary -> flat token shards."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from components.core.artifacts import Corpus, Frozen, TokenShards, Vocabulary
from components.core.component import Component
from components.core.driver import run_in_driver
from components.core.settings import settings
from components.data.document import Document
from components.data.split import SPLITS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PIECE_BYTES = 1 << 20  # of documents that one Ray task encodes
_PIECES = ".pieces"


class TokenizeInputs(Frozen):
    """What `Tokenize` reads."""

    corpus: Corpus
    """Clean documents."""
    vocabulary: Vocabulary
    """The tokenizer that encodes them."""


class Piece(Frozen):
    """A run of whole documents that one worker encodes."""

    corpus_file: str
    """File of one document a line."""
    start: int
    """Offset of the first byte."""
    end: int
    """Offset behind the last byte."""
    tokenizer_file: str
    """`tokenizer.json`."""
    target: str
    """File the token ids are written to."""
    lengths: str
    """File the number of tokens of each document is written to."""
    names: str
    """File the id of each document is written to."""


class Tokenize(Component[TokenizeInputs, TokenShards]):
    """Encode documents with Ray Data and cut each split's one long stream of ids into shards.

    Every document is followed by the end-of-text token; text that looks like a special token is
    encoded as text. Nothing is padded or truncated, so one set of shards serves any sequence
    length. Writes `<split>/shard_00000.npy`, ...: uint16, shape (shard_tokens,), the last one
    shorter; `<split>/document_starts.npy`: int64, shape (documents + 1,), where in the stream each
    document begins, and its end; `<split>/document_ids.jsonl`: their ids, a JSON string a line; and
    `byte_lengths.npy`: int32, shape (vocab_size,).
    """

    version: ClassVar[str] = "1.1.0"

    shard_tokens: int = Field(default=100_000_000, gt=0)
    """Length of a shard, in tokens (200 MB at the default)."""

    def run(self, inputs: TokenizeInputs, out: Path) -> TokenShards:
        """Write the shards under `out`."""
        import numpy as np

        from components.lib.shards import BYTE_LENGTHS
        from components.lib.tokens import byte_lengths

        shutil.rmtree(out / _PIECES, ignore_errors=True)
        (out / _PIECES).mkdir()
        pieces = {split: list(_pieces(inputs, split, out)) for split in SPLITS}
        _encode_all([piece for split in SPLITS for piece in pieces[split]])
        num_tokens: dict[str, int] = {}
        for split in SPLITS:
            arrays = (np.load(piece.target) for piece in pieces[split])
            num_tokens[split] = self._write_shards(out / split, arrays)
            _write_index(out / split, pieces[split])
        shutil.rmtree(out / _PIECES)
        lengths = byte_lengths(inputs.vocabulary.path, inputs.vocabulary.vocab_size)
        np.save(out / BYTE_LENGTHS, lengths)
        return TokenShards(
            path=out,
            vocab_size=inputs.vocabulary.vocab_size,
            num_tokens=num_tokens,
            num_bytes=inputs.corpus.num_bytes,
        )

    def _write_shards(self, folder: Path, arrays: "Iterator[NDArray[np.uint16]]") -> int:
        """Write the stream of `arrays` as shards and return its length."""
        import numpy as np

        folder.mkdir(exist_ok=True)
        rest, index, total = np.empty(0, np.uint16), 0, 0
        for array in arrays:
            rest = np.concatenate([rest, array])
            total += len(array)
            while len(rest) >= self.shard_tokens:
                np.save(folder / f"shard_{index:05d}.npy", rest[: self.shard_tokens])
                rest, index = rest[self.shard_tokens :], index + 1
        if len(rest):
            np.save(folder / f"shard_{index:05d}.npy", rest)
        return total


def _write_index(folder: Path, pieces: list[Piece]) -> None:
    """Write where each document begins in the stream of tokens, and what it is called."""
    import numpy as np

    from components.lib.documents import DOCUMENT_IDS, DOCUMENT_STARTS

    lengths = [np.load(piece.lengths) for piece in pieces]
    np.save(folder / DOCUMENT_STARTS, np.cumsum(np.concatenate([[0], *lengths]), dtype=np.int64))
    with (folder / DOCUMENT_IDS).open("wb") as stream:
        for piece in pieces:
            stream.write(Path(piece.names).read_bytes())


def _pieces(inputs: TokenizeInputs, split: str, out: Path) -> Iterator[Piece]:
    """Cut a split's file at line ends into pieces of about `_PIECE_BYTES`."""
    file = inputs.corpus.path / f"{split}.jsonl"

    def piece(start: int, end: int) -> Piece:
        name = f"{out / _PIECES / split}_{start:015d}"
        return Piece(
            corpus_file=str(file),
            start=start,
            end=end,
            tokenizer_file=str(inputs.vocabulary.path / "tokenizer.json"),
            target=f"{name}.npy",
            lengths=f"{name}_lengths.npy",
            names=f"{name}_names.jsonl",
        )

    start = end = 0
    with file.open("rb") as lines:
        for line in lines:
            end += len(line)
            if end - start >= _PIECE_BYTES:
                yield piece(start, end)
                start = end
    if end > start:
        yield piece(start, end)


def _encode_all(pieces: list[Piece]) -> None:
    if settings().ray_address == "off":
        for piece in pieces:
            encode(piece.model_dump())
    else:
        run_in_driver(f"{__name__}:ray_encode", {"pieces": [p.model_dump() for p in pieces]})


def ray_encode(payload: dict[str, Any]) -> None:
    """Encode every piece in a Ray Data job; runs in the driver process."""
    import ray

    from components.core.ray_session import ray_session

    with ray_session():
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        ray.data.from_items(payload["pieces"]).map(encode).materialize()


def encode(row: dict[str, Any]) -> dict[str, Any]:
    """Encode one `Piece` into its target file: uint16, shape (tokens,), and list its documents."""
    import numpy as np
    from tokenizers import Tokenizer

    from components.lib.chat import END_OF_TEXT

    piece = Piece.model_validate(row)
    tokenizer = Tokenizer.from_file(piece.tokenizer_file)
    tokenizer.encode_special_tokens = True
    end_of_text = tokenizer.token_to_id(END_OF_TEXT)
    with Path(piece.corpus_file).open("rb") as stream:
        stream.seek(piece.start)
        lines = stream.read(piece.end - piece.start).splitlines()
    documents = [Document.model_validate(json.loads(line)) for line in lines]
    texts = [document.text for document in documents]
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    ids = [token for encoding in encodings for token in (*encoding.ids, end_of_text)]
    np.save(piece.target, np.array(ids, np.uint16))
    np.save(piece.lengths, np.array([len(encoding.ids) + 1 for encoding in encodings], np.int64))
    names = "".join(f"{json.dumps(document.id)}\n" for document in documents)
    Path(piece.names).write_text(names, encoding="utf-8")
    return {"tokens": len(ids)}
