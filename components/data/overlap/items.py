"""What a model will be asked: texts that must not be among those it learns from."""

from collections.abc import Iterator
from itertools import chain

import numpy as np
from pydantic import Field

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import EvaluationSets
from components.data.document import document_files, read_documents
from components.data.overlap.index import EvaluationItem, Overlap
from components.lib.tasks.microtasks import MicroTask

MICROTASKS = "instructions"  # the evaluation set of the platform's own held-out micro-tasks


class Search(Frozen):
    """What counts as an overlap with an evaluation item, and how well it must be found."""

    ngram_words: int = Field(default=13, ge=5)
    """Words in a row that a document may not share with an item (Brown et al. 2020: 13)."""
    common_in: int | None = Field(default=None, ge=1)
    """n-grams in more documents than this are boilerplate and ignored (Brown et al. 2020: 10)."""
    num_planted: int = Field(default=100, ge=1)
    """Known items that are planted in each form to measure the recall."""
    min_recall: float = Field(default=0.99, ge=0, le=1)
    """Recall below which the step fails, in every form but paraphrased."""

    def index(self, sets: EvaluationSets) -> Overlap:
        """Return the index of all evaluation items."""
        return Overlap.build(evaluation_items(sets), self.ngram_words)

    def without_common(self, index: Overlap, counts: list[dict[str, int]]) -> Overlap:
        """Return `index` without n-grams that are in too many documents, by pieces' `counts`."""
        assert self.common_in is not None
        documents = np.zeros(len(index), np.int64)
        for found in counts:
            documents[np.array(list(found), np.int64)] += np.array(list(found.values()), np.int64)
        return index.without(np.flatnonzero(documents > self.common_in))


def evaluation_items(sets: EvaluationSets) -> Iterator[EvaluationItem]:
    """Yield the documents of the evaluation sets, and the prompts of held-out micro-tasks."""
    for name in sets.names:
        files = document_files(sets.path / name)
        for document in chain.from_iterable(map(read_documents, files)):
            yield EvaluationItem(name, document.id, document.text)
    if (file := sets.path / "test.jsonl").exists():
        with file.open(encoding="utf-8", newline="\n") as lines:
            for task in map(MicroTask.model_validate_json, lines):
                yield EvaluationItem(MICROTASKS, task.id, task.prompt)
