"""What `data.dvc` pins -> the data that stages read, with a card and a gate that holds it."""

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import (
    ContaminationReport,
    Corpus,
    DataCard,
    DataFiles,
    Documents,
    DocumentShards,
    EvaluationSets,
    TokenShards,
)
from components.core.processes.ray_driver import kept_ray
from components.data.card import Card, CardInputs
from components.data.clean import Clean
from components.data.decontaminate import Decontaminate, DecontaminateInputs
from components.data.deduplicate import Deduplicate, DeduplicateInputs
from components.data.existing_vocabulary import ExistingVocabulary
from components.data.extend_vocabulary import ExtendVocabulary, ExtendVocabularyInputs
from components.data.mask import Mask
from components.data.repository.pinned import pinned_files
from components.data.scan import Scan, ScanInputs
from components.data.split import Split
from components.data.take_documents import TakeDocuments, documents_in
from components.data.take_evaluation import TakeEvaluation, evaluation_in
from components.data.take_instructions import TakeInstructions, instructions_in
from components.data.take_preferences import TakePreferences, preferences_in
from components.data.tokenize import Tokenize, TokenizeInputs
from components.data.validate import Validate, ValidateInputs
from components.data.vocabulary import TrainVocabulary
from components.data.vocabulary_report import ReportVocabulary, VocabularyReportInputs
from flows.cards import card_before, documents_of_run
from flows.publish import publish_card
from flows.stage import Base, NamedSets, Prepared
from flows.step import step


class CorpusSteps(Frozen):
    """Documents that are worth reading, in splits."""

    sources: tuple[str, ...] = ()
    """Folders of `data/` whose documents are taken, such as `["speeches"]`; none means all."""
    known: str = ""
    """A run whose documents stay and are not read again; those of this recipe are added to them."""
    clean: Clean = Clean()
    """Documents that are worth reading."""
    deduplicate: Deduplicate = Deduplicate()
    """Documents of which no two are the same."""
    decontaminate: Decontaminate = Decontaminate()
    """Documents without what models are evaluated on."""
    mask: Mask = Mask()
    """Documents without personal data."""
    split: Split = Split()
    """Documents in splits."""


class TokenSteps(Frozen):
    """The documents as tokens, with what is known and what has to hold of them."""

    vocabulary: TrainVocabulary | ExistingVocabulary = TrainVocabulary()
    """Tokenizer; a base that exists brings its own."""
    extend: ExtendVocabulary | None = None
    """More tokens for the tokenizer, such as those of the documents' own language."""
    vocabulary_report: ReportVocabulary = ReportVocabulary()
    """What it makes of held-out text."""
    tokenize: Tokenize = Tokenize()
    """Token shards."""
    scan: Scan = Scan()
    """Evaluation items in the tokens themselves."""
    card: Card = Card()
    """What the data is."""
    validation: Validate = Validate()
    """What has to hold of it."""


class CleanDocuments(Frozen):
    """What each step of the corpus let through."""

    documents: Documents
    """What went in."""
    clean: DocumentShards
    """After cleaning."""
    deduplicate: DocumentShards
    """After deduplication."""
    decontaminate: DocumentShards
    """After decontamination."""
    mask: DocumentShards
    """After masking of personal data."""
    corpus: Corpus
    """In splits."""


@kept_ray()
def prepare(
    corpus: CorpusSteps, tokens: TokenSteps, base: Base, sets: NamedSets = NamedSets()
) -> Prepared:
    """Make what stages read of `data/`, at the revision that `data.dvc` pins.

    Raises:
        ValueError: the data does not hold what the recipe asks of it.
    """
    pinned = pinned_files()
    learnt = instructions_in(pinned, sets.instructions)
    compared = preferences_in(pinned, sets.preferences)
    learnable = documents_in(pinned, corpus.sources, but=sets.replay)
    again = documents_in(pinned, sets.replay) if sets.replay else None
    documents = step(TakeDocuments(), learnable)
    instructions = step(TakeInstructions(), learnt)
    preferences = step(TakePreferences(), compared)
    evaluation = step(TakeEvaluation(), evaluation_in(pinned))
    known = documents_of_run(corpus.known) if corpus.known else None
    clean = _clean(corpus, documents, evaluation, known)

    vocabulary = base.vocabulary() or step(tokens.vocabulary, clean.corpus)
    if tokens.extend is not None:
        extended = ExtendVocabularyInputs(vocabulary=vocabulary, corpus=clean.corpus)
        vocabulary = step(tokens.extend, extended)
    encoded = TokenizeInputs(corpus=clean.corpus, vocabulary=vocabulary)
    step(tokens.vocabulary_report, VocabularyReportInputs(**dict(encoded)))
    shards = step(tokens.tokenize, encoded)
    search = corpus.decontaminate.search
    looked_for = ScanInputs(
        shards=shards, vocabulary=vocabulary, evaluation=evaluation, search=search
    )
    return Prepared(
        vocabulary=vocabulary,
        shards=shards,
        instructions=instructions,
        preferences=preferences,
        evaluation=evaluation,
        card=_card(tokens, clean, shards, step(tokens.scan, looked_for)),
        replay=_replay(corpus, tokens, again, looked_for) if again else None,
    )


def _replay(
    corpus: CorpusSteps, tokens: TokenSteps, files: DataFiles, looked_for: ScanInputs
) -> TokenShards:
    """Return other documents, which went through all that those of the corpus did, as tokens.

    They are as free of what models are evaluated on. The tokenizer does not learn from them, and
    the card is that of the corpus.
    """
    clean = _clean(corpus, step(TakeDocuments(), files), looked_for.evaluation)
    encoded = TokenizeInputs(corpus=clean.corpus, vocabulary=looked_for.vocabulary)
    shards = step(tokens.tokenize, encoded)
    step(tokens.scan, looked_for.model_copy(update={"shards": shards}))
    return shards


def _clean(
    corpus: CorpusSteps,
    documents: Documents,
    evaluation: EvaluationSets,
    known: DocumentShards | None = None,
) -> CleanDocuments:
    clean = step(corpus.clean, documents)
    distinct = step(corpus.deduplicate, DeduplicateInputs(documents=clean, known=known))
    asked = DecontaminateInputs(documents=distinct, evaluation=evaluation)
    unseen = step(corpus.decontaminate, asked)
    masked = step(corpus.mask, unseen)
    return CleanDocuments(
        documents=documents,
        clean=clean,
        deduplicate=distinct,
        decontaminate=unseen,
        mask=masked,
        corpus=step(corpus.split, masked),
    )


def _card(
    tokens: TokenSteps, clean: CleanDocuments, shards: TokenShards, scanned: ContaminationReport
) -> DataCard:
    card = step(tokens.card, CardInputs(**dict(clean), shards=shards, scan=scanned))
    publish_card(card)
    previous = card_before(clean.documents)
    verdict = step(tokens.validation, ValidateInputs(card=card, previous=previous))
    if not verdict.passed:
        raise ValueError(
            f"The data is not fit to train on. {'. '.join(verdict.failures)}. "
            f"Look at {card.path / 'report' / 'card.html'}, then mend the data or the bounds."
        )
    return card
