"""A private machine for every test, and one small line of real artifacts that tests share."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer

from components.align.sample import SampleInputs, SamplePreferences
from components.core.artifacts.data import (
    Corpus,
    Documents,
    EvaluationSets,
    Instructions,
    PreferencePairs,
    Preferences,
    TokenShards,
    Vocabulary,
)
from components.core.artifacts.models import Checkpoint
from components.core.record import InputRecord, Record, hash_files, write_record
from components.core.settings import settings
from components.data.clean import Clean
from components.data.deduplicate import Deduplicate, DeduplicateInputs
from components.data.document import read_documents, write_documents
from components.data.split import Split
from components.data.tokenize import Tokenize, TokenizeInputs
from components.data.vocabulary import TrainVocabulary
from components.finetune.sft import SFT, SFTInputs
from components.lib.examples.permutation import draw
from components.lib.examples.windows import Windows
from components.lib.ledger.chain import Ledger, batch_hash
from components.lib.training.hyperparameters import DialledHyperparameters, Hyperparameters
from components.pretrain.train import Train, TrainInputs
from tests import small_project
from tests.sharing import OneStack, made_once
from tests.smoke import Smoke, run

# The recorded losses are a CPU's. `CUDA_VISIBLE_DEVICES=0` has the tests compute on a GPU.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
# Read when huggingface_hub is imported, which files do before any fixture runs.
os.environ["HF_HUB_OFFLINE"] = "1"

_REVISION = "1234.dir"

_MACHINE = {
    "BLOOMERY_RAY_ADDRESS": "off",
    "BLOOMERY_NUM_THREADS": "1",
    "BLOOMERY_NUM_WORKERS": "1",
    "GOMP_SPINCOUNT": "1000",
    "TOKENIZERS_PARALLELISM": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
}


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneStack:
    """Say which process takes which file."""
    return OneStack(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let processes that take files in turn end together, and none wait for another's `smoke`.

    Files that take long come first: of these the one that makes `smoke`, which others then find.
    """
    long = {item.path for item in items if item.get_closest_marker("slow")}
    waiting = {item.path for item in items if "smoke" in getattr(item, "fixturenames", ())}
    whole = ("tests/flows/", "tests/infra/")  # the whole platform: longest of all

    def place(item: pytest.Item) -> tuple[bool, bool, bool, bool]:
        makes_smoke = item.nodeid.startswith("tests/flows/test_pipeline.py")
        is_whole = item.nodeid.startswith(whole)
        return item.path not in long, not is_whole, not makes_smoke, item.path in waiting

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def machine(tmp_path_factory) -> Iterator[None]:
    """One thread, no Ray, no network; a home and caches away from the user's.

    Making a MLflow database takes seconds, so all tests share one; it is made by the first that
    tracks something.
    """
    folder = tmp_path_factory.mktemp("machine")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _MACHINE.items():
            patch.setenv(name, value)
        patch.setenv("BLOOMERY_HOME", str(folder / "home"))
        patch.setenv("BLOOMERY_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.setenv("HF_HOME", str(folder / "huggingface"))
        settings.cache_clear()
        yield
    settings.cache_clear()


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory, worker_id: str) -> Path:
    """A folder of this session that all its processes see."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@pytest.fixture(scope="session")
def smoke(machine: None, session_folder: Path) -> Smoke:
    """A run of the recipe `smoke` that was killed and has finished."""
    return Smoke(made_once(session_folder / "smoke", run) / "project")


@pytest.fixture(autouse=True)
def home(machine: None, tmp_path, monkeypatch) -> Iterator[Path]:
    """A home of its own for every test."""
    monkeypatch.setenv("BLOOMERY_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    yield tmp_path / "home"
    settings.cache_clear()


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """The handlers of signals as they were: what stops a stack ignores them from then on."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def line(machine: None, tmp_path_factory) -> Path:
    """The folder that the shared artifacts lie in."""
    return tmp_path_factory.mktemp("line")


def _made(line: Path, name: str) -> Path:
    (line / name).mkdir()
    return line / name


@pytest.fixture(scope="session")
def data(line: Path) -> Path:
    """The `data/` of a small project."""
    folder = _made(line, "data")
    small_project.write_data(folder)
    return folder


@pytest.fixture(scope="session")
def documents(data: Path) -> Documents:
    return Documents(path=data, revision=_REVISION, sources=("library", "speeches"))


@pytest.fixture(scope="session")
def instructions(data: Path) -> Instructions:
    return Instructions(path=data / "instructions", revision=_REVISION)


@pytest.fixture(scope="session")
def preferences(data: Path) -> Preferences:
    return Preferences(path=data / "preferences", revision=_REVISION)


@pytest.fixture(scope="session")
def evaluation(data: Path) -> EvaluationSets:
    """The held-out micro-tasks alone."""
    return EvaluationSets(path=data / "instructions", revision=_REVISION, names=())


@pytest.fixture(scope="session")
def corpus(documents: Documents, line: Path) -> Corpus:
    """The documents in splits that are large enough to hold some of each."""
    clean = Clean().run(documents, _made(line, "clean"))
    distinct = Deduplicate().run(DeduplicateInputs(documents=clean), _made(line, "distinct"))
    split = Split(validation_percent=20, test_percent=20)
    return split.run(distinct, _made(line, "corpus"))


@pytest.fixture(scope="session")
def vocabulary(corpus: Corpus, line: Path) -> Vocabulary:
    return TrainVocabulary(vocab_size=512).run(corpus, _made(line, "vocabulary"))


@pytest.fixture(scope="session")
def shards(corpus: Corpus, vocabulary: Vocabulary, line: Path) -> TokenShards:
    inputs = TokenizeInputs(corpus=corpus, vocabulary=vocabulary)
    return Tokenize(shard_tokens=20_000).run(inputs, _made(line, "shards"))


@pytest.fixture(scope="session")
def shards_of(corpus: Corpus, vocabulary: Vocabulary, line: Path) -> dict[str, TokenShards]:
    """The documents of each source by themselves, as tokens of the one vocabulary."""
    found: dict[str, TokenShards] = {}
    for source in ("library", "speeches"):
        folder, sizes = _made(line, f"corpus of {source}"), dict[str, int]()
        for split in corpus.num_documents:
            documents = read_documents(corpus.path / f"{split}.jsonl")
            own = [document for document in documents if document.id.startswith(source)]
            sizes[split] = write_documents(folder / f"{split}.jsonl", own)
        own = Corpus(path=folder, num_documents=sizes, num_bytes=corpus.num_bytes)
        inputs = TokenizeInputs(corpus=own, vocabulary=vocabulary)
        found[source] = Tokenize().run(inputs, _made(line, f"shards of {source}"))
    return found


@pytest.fixture(scope="session")
def checkpoint(shards: TokenShards, vocabulary: Vocabulary, line: Path) -> Checkpoint:
    """A decoder of two layers after 40 steps."""
    component = Train(
        training=DialledHyperparameters(
            num_steps=40, batch_size=8, learning_rate=0.01, evaluate_every=20
        ),
        sequence_length=64,
        depth=2,
        width=64,
        max_length=256,
        validation_sequences=8,
    )
    inputs = TrainInputs(shards=shards, vocabulary=vocabulary)
    return component.run(inputs, _made(line, "checkpoint"))


@pytest.fixture(scope="session")
def instruct(
    checkpoint: Checkpoint, instructions: Instructions, shards: TokenShards, line: Path
) -> Checkpoint:
    """The decoder after it saw some hundred instructions: it answers in the right form."""
    training = Hyperparameters(num_steps=40, batch_size=16, learning_rate=0.01, evaluate_every=20)
    inputs = SFTInputs(model=checkpoint, instructions=instructions, shards=shards)
    return SFT(training=training).run(inputs, _made(line, "instruct"))


@pytest.fixture(scope="session")
def pairs(instruct: Checkpoint, preferences: Preferences, line: Path) -> PreferencePairs:
    """Right and wrong answers of that decoder."""
    component = SamplePreferences(num_prompts=48, num_samples=4)
    inputs = SampleInputs(model=instruct, preferences=preferences)
    return component.run(inputs, _made(line, "pairs"))


@pytest.fixture(scope="session")
def read_spool():
    """Return the metrics in a folder, as (step, metrics), by nothing but `json`."""

    def read(out: Path) -> list[tuple[int, dict[str, float]]]:
        lines = (out / "metrics.jsonl").read_text("utf-8").splitlines()
        points = [json.loads(line) for line in lines if line.strip()]
        return [(point["step"], point["metrics"]) for point in points]

    return read


@pytest.fixture
def trained(shards: TokenShards, vocabulary: Vocabulary):
    """Return a function that leaves what a pretraining does: a ledger and a record.

    Its examples are sequences of 64 tokens, 8 a step, in the order of seed 3.
    """

    def train(draws: list[int], source: TokenShards = shards) -> Path:
        out = settings().artifacts / "pretrain.train" / "1.0.0" / "0123456789abcdef"
        out.mkdir(parents=True)
        examples, ledger = Windows(source.path / "train", 64), Ledger(out)
        for step, number in enumerate(draws, start=1):
            batch = examples.batch(draw(number, 8, len(examples), seed=3))
            ledger.append(step, number, 8, batch_hash(batch))
        sources = {"shards": source, "vocabulary": vocabulary}
        record = Record(
            component="pretrain.train",
            version="1.0.0",
            fingerprint=out.name,
            config={"training": {"seed": 3, "batch_size": 8}, "sequence_length": 64},
            inputs={n: InputRecord(path=s.path, fingerprint="") for n, s in sources.items()},
            artifact={},
            files=hash_files(out),
            seed=None,
            seconds=1.0,
            packages={},
            git_revision=None,
            data_revision=None,
            mlflow_run_id=None,
        )
        write_record(record, out)
        return out

    return train
