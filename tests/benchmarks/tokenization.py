"""Text to token shards on disk, against a bare `tokenizers` call that keeps nothing, in turns."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tests.benchmarks.data import shards
from tests.benchmarks.table import Row, show
from tests.benchmarks.turns import Turn
from tests.benchmarks.work import Work

BASE = "tokenizers encode_batch, nothing written"
_BYTES = 25_000_000
_TURNS = 3  # the peer takes most of a minute a turn


def run(work: Work) -> list[Row]:
    """Measure, show the table and return its rows."""
    os.environ["BLOOMERY_RAY_ADDRESS"] = "off"  # one process; both use all cores
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    from components.core.settings import settings

    settings.cache_clear()
    folder = shards(work.vocab_size)
    inputs = json.loads((folder / "artifact.json").read_text("utf-8"))["inputs"]
    root = settings().artifacts
    corpus, vocabulary = (root / inputs[name]["path"] for name in ("corpus", "vocabulary"))
    texts = _texts(corpus / "train.jsonl")
    size = sum(len(text.encode()) for text in texts)
    peers: dict[str, Callable[[int], None]] = {
        BASE: _bare(vocabulary, texts),
        "Bloomery data.tokenize, read from and written to disk": _ours(
            vocabulary, work.vocab_size, texts, work.out
        ),
    }
    turns: dict[str, list[Turn]] = {name: [] for name in peers}
    for number in range(_TURNS):
        for name, peer in peers.items():
            start, cpu = time.perf_counter(), time.process_time()
            peer(number)
            taken = Turn(1, time.perf_counter() - start, time.process_time() - cpu)
            turns[name].append(taken)
    rows = [_row(name, size, turns) for name in peers]
    show(f"Tokenization of {size / 1e6:.0f} MB (ratios are medians over turns)", rows)
    return rows


def _row(name: str, size: int, turns: dict[str, list[Turn]]) -> Row:
    pairs = list(zip(turns[BASE], turns[name], strict=True))
    return {
        "encoder": name,
        "megabytes_per_second": round(size / 1e6 / median(t.seconds for t in turns[name]), 1),
        "ratio_to_tokenizers": round(median(b.seconds / o.seconds for b, o in pairs), 1),
        "ratio_by_cpu_seconds": round(median(b.cpu_seconds / o.cpu_seconds for b, o in pairs), 1),
    }


def _texts(file: Path) -> list[str]:
    """Return the documents over and over, each time with other numbers in them."""
    with file.open(encoding="utf-8") as lines:
        own = [json.loads(line)["text"] for line in lines]
    texts: list[str] = []
    size = 0
    while size < _BYTES:
        for text in own:
            texts.append(f"{len(texts)} {text}")
            size += len(text.encode())
    return texts


def _bare(vocabulary: Path, texts: list[str]) -> Callable[[int], None]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(vocabulary / "tokenizer.json"))

    def encode(_: int) -> None:
        tokenizer.encode_batch(texts, add_special_tokens=False)

    return encode


def _ours(vocabulary: Path, vocab_size: int, texts: list[str], out: Path) -> Callable[[int], None]:
    from components.core.artifacts.data import Corpus, Vocabulary
    from components.data.document import Document, write_documents
    from components.data.tokenize import Tokenize, TokenizeInputs

    documents = [Document(id=f"bench/{n}", text=text) for n, text in enumerate(texts)]
    sizes: dict[str, int] = {}
    for split in ("train", "validation", "test"):
        own = documents if split == "train" else documents[:1]
        write_documents(out / "corpus" / f"{split}.jsonl", own)
        sizes[split] = sum(len(document.text.encode()) for document in own)
    corpus = Corpus(path=out / "corpus", num_documents=dict.fromkeys(sizes, 1), num_bytes=sizes)
    made = Vocabulary(path=vocabulary, vocab_size=vocab_size)

    def tokenize(turn: int) -> None:
        folder = out / f"shards_{turn}"
        folder.mkdir()
        Tokenize().run(TokenizeInputs(corpus=corpus, vocabulary=made), folder)

    return tokenize
