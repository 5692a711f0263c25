"""Artifacts of the data stage, from a revision of `data/` to token shards and their card."""

from typing import Annotated

from pydantic import Field

from components.core.artifacts.base import Artifact, Frozen, Provenance


class DataRevision(Frozen):
    """A revision of `data/`, as `data.dvc` names it."""

    revision: str
    """md5 that DVC recorded, such as `1b2c...dir`."""


class DataFile(Frozen):
    """A file of `data/`, as DVC lists it."""

    name: str
    """Where it lies below `data/`, such as `speeches/documents.jsonl`."""
    md5: str
    """Hash of its content."""


class DataFiles(Frozen):
    """Some files of `data/`, named by their content before any of them is read."""

    files: tuple[DataFile, ...]
    """The files, sorted by name."""
    revision: Annotated[str, Provenance()]
    """The revision of `data/` that lists them. Another one may list the same."""


class PinnedData(Artifact):
    """Files of `data/` that no later edit can change."""

    revision: str
    """The revision of `data/` that they were taken from first. Others may hold the same."""


class Documents(PinnedData):
    """Documents of some sources: `<source>/documents.jsonl`, `documents-00001.jsonl`, ..."""

    sources: tuple[str, ...]
    """Names of the folders that hold them."""


class Instructions(PinnedData):
    """Micro-tasks to fine-tune on: `train.jsonl` and `validation.jsonl`.

    Of named sets, `<name>/dialogues.jsonl`, and `<name>/about.json`: what they were made of.
    """


class Preferences(PinnedData):
    """Prompts whose answers are compared: `prompts.jsonl`. None is trained or tested on.

    Of named sets, `<name>/comparisons.jsonl`, and `<name>/about.json`.
    """


class Dialogues(Instructions):
    """Dialogues that are learnt, in `train.jsonl`, and held out, in `validation.jsonl`.

    Beside them `rejects.jsonl` has what was left out, and `card.json` says what they are.
    """

    names: tuple[str, ...]
    """The sets that they are of."""
    num_dialogues: dict[str, int]
    """Dialogues of each file."""
    dropped: dict[str, int]
    """Dialogues that were left out, by reason."""
    measures: dict[str, float]
    """Numbers of the card, such as `learnt_share`."""


class Comparisons(Artifact):
    """Prompts with a chosen and a rejected answer: `comparisons.jsonl`, one a line.

    Beside them `rejects.jsonl` has what was left out, and `card.json` says what they are.
    """

    num_pairs: int
    """Lines of the file."""
    names: tuple[str, ...]
    """The sets that they are of."""
    dropped: dict[str, int] = Field(default_factory=dict)
    """Comparisons that were left out, by reason."""
    measures: dict[str, float] = Field(default_factory=dict)
    """Numbers of the card, such as `learnt_share`."""


class EvaluationSets(PinnedData):
    """What models are tested on: `<name>/documents.jsonl`, ..., and micro-tasks in `test.jsonl`."""

    names: tuple[str, ...]
    """Names of the folders. The micro-tasks that are held out have none."""


class Planted(Frozen):
    """What a step found of items that were planted for it, in one form."""

    form: str
    """How they were disguised, such as `re-wrapped` or `5% of words changed`."""
    planted: int
    """Items that it should find."""
    found: int
    """Those of them that it found."""
    false_alarms: int = 0
    """Items that it should leave alone, and took."""
    due: int = 0
    """Planted items that it must find: too few of them found stop the flow."""
    due_found: int = 0
    """Those of them that it found."""

    @property
    def recall(self) -> float:
        """Share of the planted items that were found, 0 to 1; 1 if there were none."""
        return self.found / self.planted if self.planted else 1.0

    @property
    def due_recall(self) -> float:
        """Share of the items that must be found that were, 0 to 1; 1 if there were none."""
        return self.due_found / self.due if self.due else 1.0

    @property
    def precision(self) -> float:
        """Share of what was taken that had been planted, 0 to 1; 1 if nothing was."""
        taken = self.found + self.false_alarms
        return self.found / taken if taken else 1.0


class SourceCount(Frozen):
    """What a step did with the documents of one source."""

    documents: int = 0
    """Documents that were kept."""
    bytes: int = 0
    """UTF-8 bytes of their text."""
    dropped: dict[str, int] = Field(default_factory=dict)
    """Documents that were left out, by reason."""


class DocumentShards(Artifact):
    """Documents in `kept/00000.jsonl`, ..., and in `rejects/00000.jsonl`, ... those left out.

    A document a line, in the order of the step before; a reject has its reason too.
    """

    num_documents: int
    """Documents that were kept."""
    num_bytes: int
    """UTF-8 bytes of their text."""
    dropped: dict[str, int]
    """Documents that this step left out, by reason."""
    counts: dict[str, int] = Field(default_factory=dict)
    """What else it counted, such as documents by language or masked spans by kind."""
    by_source: dict[str, SourceCount] = Field(default_factory=dict)
    """The same by source: the first part of a document's id."""
    planted: tuple[Planted, ...] = ()
    """How well it finds what it looks for."""


class Corpus(Artifact):
    """Clean documents in `train.jsonl`, `validation.jsonl` and `test.jsonl`."""

    num_documents: dict[str, int]
    """Documents of each split."""
    num_bytes: dict[str, int]
    """UTF-8 bytes of text of each split."""


class Vocabulary(Artifact):
    """A transformers fast tokenizer with a chat template."""

    vocab_size: int
    """Number of ids, special tokens included."""


class VocabularyReport(Artifact):
    """What a tokenizer makes of held-out text: `report.json`, and `report.html` to look at."""

    bytes_per_token: float
    """UTF-8 bytes of text that a token stands for, on average."""
    tokens_per_word: float
    """Fertility: tokens that a word between spaces takes."""
    unknown_rate: float
    """Share of the tokens that say only that something was unknown, 0 to 1."""
    round_trip_errors: int
    """Documents that do not come back exactly."""
    share_used: float
    """Share of the ids that the text has, 0 to 1."""
    bytes_per_token_by_domain: dict[str, float]
    """By the source of the documents."""
    bytes_per_token_by_language: dict[str, float]
    """By what their metadata says is their language; empty if none says so."""


class TokenShards(Artifact):
    """Token ids in `<split>/shard_00000.npy`, ...: uint16 or uint32, shape (tokens,).

    It is uint32 if there are more than 65,536 ids. Beside them `document_starts.npy`, int64, shape
    (documents + 1,), and `document_ids.jsonl` say which document a token is of.
    """

    vocab_size: int
    """Number of ids, special tokens included."""
    num_tokens: dict[str, int]
    """Tokens of each split."""
    num_bytes: dict[str, int]
    """UTF-8 bytes of the text that the tokens of each split stand for."""
    begin_of_text: int | None = None
    """Id that stands before every document, where the tokenizer sets one before every text."""
    bytes_added: int = 0
    """Bytes by which the lengths of a document's tokens exceed its text: the space, say, that some
    tokenizers set before the first word."""


class ContaminationReport(Artifact):
    """What of the evaluation items stands in the tokens that are trained on.

    `scan.json` names the documents and shows the words; `planted.json` what the scan can find.
    """

    num_documents: int
    """Documents of the train split that were decoded and searched."""
    num_contaminated: int
    """Those that share words with an evaluation item."""
    contaminated: dict[str, int]
    """The same by evaluation set; a document may be of several."""
    counts: dict[str, int]
    """Evaluation items, those too short to be looked for, and n-grams."""
    planted: tuple[Planted, ...]
    """What the scan finds of known items, encoded and decoded like the documents."""


class DataCard(Artifact):
    """What a dataset is and how it came about: `report/card.json`, and `report/card.html`."""

    num_documents: int
    """Documents of all splits."""
    num_tokens: int
    """Tokens of all splits."""
    measures: dict[str, float]
    """What `Validate` can bound, by name, such as `duplicate_rate`."""


class PreferencePairs(Artifact):
    """`pairs.jsonl`: a prompt, a chosen and a rejected completion a line."""

    num_pairs: int
    """Lines of the file."""
    sampled_accuracy: float
    """Share of all samples that the checker accepted, 0 to 1."""


class ReferenceScores(Artifact):
    """ln p of the answers of preference pairs: `scores.npy`, float32, shape (pairs, 2).

    A row is a line of `pairs.jsonl`: the chosen answer, the rejected one. Lines that cannot be
    learnt from are NaN.
    """

    num_pairs: int
    """Pairs that were scored."""


class TeacherScores(Artifact):
    """What a teacher makes of the sequences of a train split: its likeliest next tokens everywhere.

    With N sequences of T tokens, `ids.npy`, uint16 or uint32, (N, T, k), holds the likeliest first;
    `log_probabilities.npy`, float16, (N, T, k + 1), their ln p and at last that of all others
    together; `sequences.npy`, int64, (N,), which sequences of the split they are, ascending.
    """

    teacher: str
    """Fingerprint of the model that was asked."""
    shards: str
    """Fingerprint of the tokens that it read."""
    sequence_length: int
    """T: how the tokens were cut, as the two fields after this one."""
    packing: str
    """`stream` or `best_fit`."""
    document_mask: bool
    """Whether documents of a sequence were hidden from each other."""
    top_k: int
    """Tokens that are kept of each distribution, or all that there are."""
    temperature: float
    """The logits were divided by it."""
    num_sequences: int
    """N."""
    mean_rest: float
    """Share of the probability that is on other tokens than those, on average, 0 to 1."""
    bytes_on_disk: int
    """Size of the files."""
