"""Tokenize: clean documents and a vocabulary -> flat token shards."""

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import Corpus, TokenShards, Vocabulary
from components.core.component import Component
from components.core.tracking import spool
from components.data.pieces import PIECE_BYTES, Piece, cut, work_through
from components.data.split import SPLITS
from components.data.tokens.encoders import Encoded, encode_proved, saved_encoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

_PIECES = ".pieces"


class TokenizeInputs(Frozen):
    """What `Tokenize` reads."""

    corpus: Corpus
    """Clean documents."""
    vocabulary: Vocabulary
    """The tokenizer that encodes them."""


class Tokenize(Component[TokenizeInputs, TokenShards]):
    """Encode documents and cut each split's one long stream of ids into shards.

    Every document is followed by the token that ends one, and begins with the one that the
    tokenizer sets before every text, if it does; text that looks like a special token is encoded as
    text. Nothing is padded or truncated, so one set of shards serves any sequence
    length. Writes `<split>/shard_00000.npy`, ...: uint16 (uint32 if there are more than 65,536
    ids), shape (shard_tokens,), the last one shorter; `<split>/document_starts.npy`: int64, shape
    (documents + 1,), where in the stream each document begins, and its end;
    `<split>/document_ids.jsonl`: their ids, a JSON string a line; and `byte_lengths.npy`: int32,
    shape (vocab_size,).

    A fast encoder does the work as long as it gives the saved tokenizer's ids for a sample of each
    piece; where it does not, all is encoded by `tokenizers`, with a warning.
    """

    version: ClassVar[str] = "1.2.0"

    shard_tokens: int = Field(default=100_000_000, gt=0)
    """Length of a shard, in tokens (200 MB at the default)."""

    def run(self, inputs: TokenizeInputs, out: Path) -> TokenShards:
        """Write the shards under `out`."""
        import numpy as np

        from components.lib.examples.shards import BYTE_LENGTHS, token_dtype
        from components.lib.text.framing import framing
        from components.lib.text.tokens import byte_lengths

        vocabulary = inputs.vocabulary
        frame = framing(vocabulary.path)
        dtype = token_dtype(vocabulary.vocab_size)
        shutil.rmtree(out / _PIECES, ignore_errors=True)
        (out / _PIECES).mkdir()
        pieces = cut([inputs.corpus.path / f"{split}.jsonl" for split in SPLITS], PIECE_BYTES)
        payload = {
            "tokenizer": str(vocabulary.path / "tokenizer.json"),
            "dtype": dtype.name,
            "begin": frame.begin,
            "end": frame.end,
        }
        sizes = _encode_all(pieces, out, payload)
        num_tokens: dict[str, int] = {}
        for split in SPLITS:
            own = [piece for piece in pieces if Path(piece.file).stem == split]
            files = [_target(out, piece) for piece in own]
            num_tokens[split] = sum(sizes[piece.number] for piece in own)
            (out / split).mkdir(exist_ok=True)
            _write_shards(out / split, files, num_tokens[split], self.shard_tokens, dtype)
            _write_index(out / split, files)
        shutil.rmtree(out / _PIECES)
        np.save(out / BYTE_LENGTHS, byte_lengths(vocabulary.path, vocabulary.vocab_size))
        return TokenShards(
            path=out,
            vocab_size=vocabulary.vocab_size,
            num_tokens=num_tokens,
            num_bytes=inputs.corpus.num_bytes,
            begin_of_text=frame.begin,
            bytes_added=frame.bytes_added,
        )


def _encode_all(pieces: Sequence[Piece], out: Path, payload: dict[str, Any]) -> list[int]:
    """Encode every piece, and return how many tokens each one has.

    An encoder that was wrong about one piece is not trusted with any.
    """
    work = f"{__name__}:encode"
    answers = work_through(work, pieces, out, payload)
    refused = [piece for piece, answer in zip(pieces, answers, strict=True) if answer["refused"]]
    if refused:
        reason = answers[refused[0].number]["refused"]
        logger.warning("fastokens is not used: %s. All is encoded by tokenizers, slowly.", reason)
        rest = [piece for piece in pieces if not answers[piece.number]["refused"]]
        again = work_through(work, rest, out, {**payload, "slowly": True})
        for piece, answer in zip(rest, again, strict=True):
            answers[piece.number] = answer
    sizes = [answer["tokens"] for answer in answers]
    counts = {"tokens": sum(sizes), "pieces": len(pieces), "pieces_refused": len(refused)}
    spool.append(out, 0, {name: float(count) for name, count in counts.items()})
    return sizes


def encode(piece: Piece, out: Path, payload: dict[str, Any]) -> dict[str, Any]:
    """Encode the documents of a piece: ids in one file, lengths and names in others."""
    import numpy as np

    content = Path(payload["tokenizer"]).read_text("utf-8")
    documents = list(piece.documents())
    texts = [document.text for document in documents]
    if payload.get("slowly"):
        encoded, refused = saved_encoder(content)(texts), ""
    else:
        encoded, refused = encode_proved(content, texts)
    ids, lengths = _framed(encoded, payload)
    target = _target(out, piece)
    np.save(target, ids)
    np.save(_lengths(target), lengths)
    names = "".join(f"{json.dumps(document.id)}\n" for document in documents)
    _names(target).write_text(names, encoding="utf-8")
    return {"tokens": len(ids), "refused": refused}


def _framed(
    encoded: Encoded, payload: dict[str, Any]
) -> tuple["NDArray[Any]", "NDArray[np.int64]"]:
    """Return the stream of ids with what frames each document, and how long each then is."""
    import numpy as np

    begin, end = payload["begin"], payload["end"]
    lengths = encoded.lengths + (1 if begin is None else 2)
    ends = np.cumsum(lengths) - 1  # where the stream has `end`
    stream = np.empty(int(lengths.sum()), np.dtype(payload["dtype"]))
    is_text = np.ones(len(stream), bool)
    is_text[ends] = False
    stream[ends] = end
    if begin is not None:
        begins = ends + 1 - lengths
        is_text[begins] = False
        stream[begins] = begin
    stream[is_text] = encoded.ids
    return stream, lengths


def _write_shards(
    folder: Path, files: Sequence[Path], num_tokens: int, shard_tokens: int, dtype: "np.dtype[Any]"
) -> None:
    """Write the stream of ids in `files` as shards."""
    import numpy as np

    stretches = _stretches(files, shard_tokens)
    kind = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
    for number, start in enumerate(range(0, num_tokens, shard_tokens)):
        length = min(shard_tokens, num_tokens - start)
        with (folder / f"shard_{number:05d}.npy").open("wb") as shard:  # no memory map: it stays
            np.lib.format.write_array_header_1_0(shard, {**kind, "shape": (length,)})
            filled = 0
            while filled < length:
                stretch = next(stretches)
                stretch.tofile(shard)
                filled += len(stretch)


def _stretches(files: Sequence[Path], shard_tokens: int) -> "Iterator[NDArray[Any]]":
    """Yield the stream of ids in `files`, broken where a shard ends."""
    import numpy as np

    room = shard_tokens
    for file in files:
        ids = np.load(file, mmap_mode="r")
        while len(ids):
            stretch, ids = ids[:room], ids[room:]
            yield stretch
            room = room - len(stretch) or shard_tokens


def _write_index(folder: Path, files: Sequence[Path]) -> None:
    """Write where each document begins in the stream of tokens, and what it is called."""
    import numpy as np

    from components.lib.examples.documents import DOCUMENT_IDS, DOCUMENT_STARTS

    lengths = [np.load(_lengths(file)) for file in files]
    np.save(folder / DOCUMENT_STARTS, np.cumsum(np.concatenate([[0], *lengths]), dtype=np.int64))
    with (folder / DOCUMENT_IDS).open("wb") as stream:
        for file in files:
            stream.write(_names(file).read_bytes())


def _target(out: Path, piece: Piece) -> Path:
    return out / _PIECES / f"{piece.number:05d}.npy"


def _lengths(target: Path) -> Path:
    return target.with_suffix(".lengths.npy")


def _names(target: Path) -> Path:
    return target.with_suffix(".names.jsonl")
