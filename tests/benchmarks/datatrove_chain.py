"""datatrove's own steps: FineWeb's rules, MinHash, tokens; the peer of ours in the benchmarks."""

import importlib
from pathlib import Path
from typing import Any

from components.core.artifacts.data import Documents, Vocabulary
from components.data.duplicates.minhash import Matching


def run(
    documents: Documents,
    vocabulary: Vocabulary,
    out: Path,
    num_files: int,
    num_workers: int,
    words: object = "en",
) -> int:
    """Clean, deduplicate and tokenize with local executors; return how many documents stay."""
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import DocumentTokenizer

    clean(documents, out, num_files, num_workers)
    deduplicate(out / "clean", out, num_files, num_workers, words)
    tokens = DocumentTokenizer(
        str(out / "tokens"), str(vocabulary.path / "tokenizer.json"), shuffle_documents=False
    )
    _execute([JsonlReader(str(out / "kept")), tokens], num_files, num_workers, out / "logs_tokens")
    return sum(1 for file in (out / "kept").iterdir() for _ in file.open("rb"))


def clean(documents: Documents, out: Path, num_files: int, num_workers: int) -> None:
    """Write what passes FineWeb's rules to `out/clean`, and the rest to `out/rejects`."""
    from datatrove.pipeline import filters
    from datatrove.pipeline.readers import JsonlReader

    def rejects(name: str) -> Any:
        return _writer(out / "rejects" / name)

    steps = [
        JsonlReader(str(documents.path), glob_pattern="*/documents.jsonl"),
        filters.GopherRepetitionFilter(exclusion_writer=rejects("repetition")),
        filters.GopherQualityFilter(exclusion_writer=rejects("quality")),
        filters.C4QualityFilter(exclusion_writer=rejects("c4"), filter_no_terminal_punct=False),
        filters.FineWebQualityFilter(exclusion_writer=rejects("fineweb")),
        _writer(out / "clean"),
    ]
    _execute(steps, num_files, num_workers, out / "logs_clean")


def deduplicate(
    documents: Path, out: Path, num_files: int, num_workers: int, words: object = "en"
) -> None:
    """Write the documents of the folder that are no near duplicates to `out/kept`."""
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.utils.typeshelper import Languages

    same = Matching()
    rows = same.num_permutations // same.num_bands
    config = MinhashConfig(
        n_grams=same.ngram_size, num_buckets=same.num_bands, hashes_per_bucket=rows
    )
    reader = JsonlReader(str(documents))
    names = ("signatures", "buckets", "removed", "duplicates")
    folders = {name: str(out / name) for name in names}
    words = Languages.english if words == "en" else words
    signature: Any = MinhashDedupSignature(folders["signatures"], config, words)  # pyright: ignore
    signature._hash_func = _hash  # datatrove 0.10 gives xxhash 4 a str, which it refuses
    buckets = MinhashDedupBuckets(folders["signatures"], folders["buckets"], config=config)
    cluster = MinhashDedupCluster(folders["buckets"], folders["removed"], config)
    sift = MinhashDedupFilter(folders["removed"], _writer(out / "duplicates"))
    stages = [
        ([reader, signature], num_files),
        ([buckets], same.num_bands),
        ([cluster], 1),
        ([reader, sift, _writer(out / "kept")], num_files),
    ]
    for number, (steps, tasks) in enumerate(stages):
        _execute(steps, tasks, min(tasks, num_workers), out / f"logs_{number}")


def spaces() -> object:
    """Return what parts words by spaces, for datatrove."""
    from datatrove.utils.word_tokenizers import WordTokenizer

    class Spaces(WordTokenizer):
        def word_tokenize(self, text: str) -> list[str]:
            return text.split()

        def sent_tokenize(self, text: str) -> list[str]:
            raise NotImplementedError

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            raise NotImplementedError

    return Spaces()


def _writer(folder: Path) -> Any:
    from datatrove.pipeline.writers import JsonlWriter

    return JsonlWriter(str(folder), output_filename="${rank}.jsonl", compression=None)


def _execute(steps: list[Any], tasks: int, workers: int, logs: Path) -> None:
    from datatrove.executor import LocalPipelineExecutor

    LocalPipelineExecutor(steps, tasks=tasks, workers=workers, logging_dir=str(logs)).run()


def _hash(text: str) -> int:
    return importlib.import_module("xxhash").xxh64_intdigest(text.encode())
