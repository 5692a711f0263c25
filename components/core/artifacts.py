"""The nouns of the platform: what components take and return.

An artifact is a small typed pointer to a folder. In memory its path is absolute; in JSON it is
relative to the artifact root, so that a record made on one machine is read on another.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, model_validator

from components.core.settings import settings


def _absolute(path: Path) -> Path:
    return path if path.is_absolute() else settings().artifacts / path


def _portable(path: Path) -> str:
    root = settings().artifacts
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


ArtifactPath = Annotated[
    Path, AfterValidator(_absolute), PlainSerializer(_portable, return_type=str)
]


class Frozen(BaseModel):
    """A value that cannot change and has no field nobody declared."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, ser_json_inf_nan="strings"
    )


class Artifact(Frozen):
    """A folder some component wrote, complete once its `artifact.json` exists."""

    path: ArtifactPath
    """Folder that holds the files."""
    fingerprint: str = ""  # filled in from the folder, which the recipe's fingerprint names
    """Identity: of the recipe that made the folder, or of its content if it was brought in."""

    @model_validator(mode="before")
    @classmethod
    def _named_by_recipe(cls, data: Any) -> Any:
        if isinstance(data, dict) and "path" in data and "fingerprint" not in data:
            return {**data, "fingerprint": Path(data["path"]).name}
        return data


class DataRevision(Frozen):
    """A revision of `data/`, as `data.dvc` names it."""

    revision: str
    """md5 that DVC recorded, such as `1b2c...dir`."""


class RawData(Artifact):
    """`data/` at one revision: `<source>/documents*.jsonl`, `instructions/`, `preferences/`."""

    revision: str
    """The DVC revision these files are."""
    sources: tuple[str, ...]
    """Names of the folders that hold documents."""


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

    @property
    def recall(self) -> float:
        """Share of the planted items that were found, 0 to 1; 1 if there were none."""
        return self.found / self.planted if self.planted else 1.0

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
    dropped: dict[str, int] = {}
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
    counts: dict[str, int] = {}
    """What else it counted, such as documents by language or masked spans by kind."""
    by_source: dict[str, SourceCount] = {}
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


class Checkpoint(Artifact):
    """A model and its tokenizer in Hugging Face layout, weights in safetensors."""

    num_parameters: int
    """Trainable parameters; a tied embedding counts once."""
    num_active_parameters: int
    """Those that compute a token: of a mixture of experts, its experts alone."""
    flops_per_token: float
    """Forward and backward, at the sequence length it was trained with."""
    bytes_on_disk: int
    """Size of the weights."""


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


class CompressedModel(Artifact):
    """An exported model that ONNX Runtime runs, beside its tokenizer."""

    num_parameters: int
    """Parameters of the model that was exported."""
    bytes_on_disk: int
    """Size of the exported weights and graph."""
    decode_tokens_per_second: float
    """Greedy decoding at batch 1, measured on the exported model."""
    original_bytes_on_disk: int
    """Size of the weights before."""
    original_decode_tokens_per_second: float
    """The same decoding by transformers in float32, measured in turns with the exported model."""


class Interval(Frozen):
    """A percentile interval of a statistic."""

    low: float
    """Lower end."""
    high: float
    """Upper end."""


class ProbeReport(Artifact):
    """What the frozen probe found of one model; `report.json` has each item's outcome."""

    model: str
    """Fingerprint of the model that was measured."""
    bits_per_byte: float
    """On held-out documents: nats of all targets / (ln 2 x bytes of their text)."""
    accuracy: float
    """Share of held-out micro-tasks answered correctly, 0 to 1."""
    accuracy_interval: Interval
    """95 % bootstrap interval of the accuracy."""
    accuracy_by_task: dict[str, float]
    """Accuracy of each micro-task."""


class BaselineReport(Artifact):
    """Bits per byte of n-gram models on the split that the probe uses."""

    unigram: float
    """Unigram with add-one counts."""
    trigram: float
    """Interpolated Kneser-Ney trigram."""


class Verdict(Artifact):
    """What the release gate decided; `verdict.json` has every threshold and its margin."""

    passed: bool
    """Whether every threshold holds."""
    failures: tuple[str, ...]
    """A sentence for each threshold that does not hold, with the numbers."""


class Release(Artifact):
    """A released model: Hugging Face layout, with the int8 export under `onnx/`."""

    name: str
    """Registered model."""
    registered_version: int
    """Its version in the MLflow registry."""
    alias: str
    """The alias that was moved to this version."""
