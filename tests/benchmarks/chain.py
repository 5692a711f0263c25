"""Cleaning, deduplication and tokens in one chain: ours against datatrove's local executor.

The same documents, FineWeb's rules, n-grams and bands, vocabulary and workers; each is one process
that starts, works and ends, in turns. datatrove is run as it comes, and with the words of its
deduplication parted by spaces, as ours parts them. Ours finds exact duplicates and contained
documents too, and proves its tokens on a sample.
"""

import json
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from components.core.artifacts.data import Corpus, Documents, DocumentShards, Vocabulary
from components.core.processes.ray_driver import kept_ray
from components.core.settings import apply_environment
from components.data.clean import WEB
from components.data.deduplicate import Deduplicate, DeduplicateInputs
from components.data.document import Document, write_documents
from components.data.repository import library, speeches
from components.data.split import Split
from components.data.tokenize import Tokenize, TokenizeInputs
from components.data.vocabulary import TrainVocabulary
from tests.benchmarks import datatrove_chain
from tests.benchmarks.table import Row, say, show
from tests.benchmarks.watch import Used, watched
from tests.benchmarks.work import Work

_MEGABYTES = "100"
_FILES = 8  # datatrove's workers take whole files
_WORKERS = 2
_TURNS = 2
_PARAGRAPHS = 4, 16
_COPIES = 0.1
_PEERS = {
    "Bloomery": "ours",
    "datatrove": "datatrove",
    "datatrove, words parted by spaces": "datatrove_spaces",
}
CLEAN = WEB.model_copy(
    update={
        "min_characters": 1,
        "sniff_html": False,
        "boilerplate": (),
        "languages": (),
        "identify_language": False,
        "repair_encoding": False,
    }
)


def run(work: Work) -> list[Row]:
    """Measure, show the table and return its rows."""
    megabytes = int(os.environ.get("BLOOMERY_BENCH_MEGABYTES", _MEGABYTES).split(",")[0])
    documents = _documents(work.out / "raw", megabytes * 1_000_000)
    vocabulary = _vocabulary(documents, work.out / "vocabulary")
    used = {name: list[Used]() for name in _PEERS}
    kept: dict[str, int] = {}
    for turn in range(int(os.environ.get("BLOOMERY_BENCH_TURNS", _TURNS))):
        for name, function in _PEERS.items():
            out = work.out / f"{function}_{turn}"
            out.mkdir()
            used[name].append(_run(function, documents, vocabulary, out))
            kept[name] = json.loads(used[name][-1].output.splitlines()[-1])
            say(f"{name}: {used[name][-1].seconds:.0f} s, {used[name][-1].cpu_seconds:.0f} CPU s")
    rows = [_row(name, used, kept[name], megabytes) for name in _PEERS]
    show(f"Clean, deduplicate, tokenize {megabytes} MB, {_WORKERS} workers", rows)
    return rows


def _row(name: str, used: dict[str, list[Used]], kept: int, megabytes: int) -> Row:
    ours = used["Bloomery"]
    pairs = list(zip(used[name], ours, strict=True))
    return {
        "chain": name,
        "MB_per_second": round(megabytes / median(each.seconds for each in used[name]), 2),
        "seconds_to_ours": round(median(a.seconds / b.seconds for a, b in pairs), 2),
        "cpu_seconds_to_ours": round(median(a.cpu_seconds / b.cpu_seconds for a, b in pairs), 2),
        "peak_MiB": round(max(each.peak_bytes for each in used[name]) / (1 << 20)),
        "documents_kept": kept,
    }


def _run(function: str, documents: Documents, vocabulary: Vocabulary, out: Path) -> Used:
    command = [sys.executable, "-m", "tests.benchmarks.chain", function]
    command += [documents.model_dump_json(), vocabulary.model_dump_json(), str(out)]
    settings = {"BLOOMERY_RAY_ADDRESS": "local", "BLOOMERY_NUM_THREADS": str(_WORKERS)}
    return watched(command, {**settings, "BLOOMERY_HOME": str(out / "home")}, out / "log.txt")


def _documents(folder: Path, num_bytes: int) -> Documents:
    """Write pages of paragraphs of what the project builds, a tenth of them copies."""
    names = tuple(f"part_{number}" for number in range(_FILES))
    for number, name in enumerate(names):
        rows = _pages(random.Random(number), name, num_bytes // _FILES)
        write_documents(folder / name / "documents.jsonl", rows)
    return Documents(path=folder, revision="bench", sources=names)


def _pages(rng: random.Random, name: str, num_bytes: int) -> Iterator[Document]:
    paragraphs = [
        paragraph
        for source in (speeches, library)
        for document in source.documents()
        for paragraph in document.text.split("\n\n")
        if len(paragraph) > 200
    ]
    written, number, texts = 0, 0, list[str]()
    while written < num_bytes:
        if texts and rng.random() < _COPIES:
            text = rng.choice(texts)
        else:
            text = "\n".join(rng.choices(paragraphs, k=rng.randint(*_PARAGRAPHS)))
            texts.append(text)
        yield Document(id=f"{name}/{number}", text=text)
        written, number = written + len(text), number + 1


def _vocabulary(documents: Documents, folder: Path) -> Vocabulary:
    """Train the vocabulary of all peers on one of the files."""
    folder.mkdir()
    file = documents.path / documents.sources[0] / "documents.jsonl"
    (folder / "train.jsonl").symlink_to(file)
    corpus = Corpus(path=folder, num_documents={"train": 1}, num_bytes={"train": 1})
    (folder / "out").mkdir()
    return TrainVocabulary(vocab_size=8192).run(corpus, folder / "out")


def ours(documents: Documents, vocabulary: Vocabulary, out: Path) -> int:
    """Run our components, without their planted sets; return how many documents stay."""
    apply_environment()
    folders = [out / name for name in ("clean", "distinct", "corpus", "shards")]
    for folder in folders:
        folder.mkdir()
    with kept_ray():
        clean = CLEAN.run(documents, folders[0])
        inputs = DeduplicateInputs(documents=clean)
        distinct: DocumentShards = Deduplicate(num_planted=0).run(inputs, folders[1])
        corpus = Split().run(distinct, folders[2])
        Tokenize().run(TokenizeInputs(corpus=corpus, vocabulary=vocabulary), folders[3])
    return distinct.num_documents


def datatrove(documents: Documents, vocabulary: Vocabulary, out: Path) -> int:
    """Run datatrove as it comes."""
    return datatrove_chain.run(documents, vocabulary, out, _FILES, _WORKERS)


def datatrove_spaces(documents: Documents, vocabulary: Vocabulary, out: Path) -> int:
    """Run datatrove, the words of its deduplication parted by spaces."""
    words = datatrove_chain.spaces()
    return datatrove_chain.run(documents, vocabulary, out, _FILES, _WORKERS, words)


if __name__ == "__main__":
    peers = {"ours": ours, "datatrove": datatrove, "datatrove_spaces": datatrove_spaces}
    given = Documents.model_validate_json(sys.argv[2]), Vocabulary.model_validate_json(sys.argv[3])
    number = peers[sys.argv[1]](*given, Path(sys.argv[4]))
    sys.stdout.write(f"{number}\n")
