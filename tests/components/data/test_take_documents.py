"""The documents: those of the chosen sources, and what else `data/` holds changes nothing."""

import pytest

from components.core.artifacts.data import DataFile, DataFiles
from components.core.execute import address, execute
from components.core.record import read_record
from components.data.clean import Clean
from components.data.document import read_documents
from components.data.repository.pinned import pinned_files
from components.data.take_documents import TakeDocuments, documents_in


def listed(*names: str, revision: str = "1.dir") -> DataFiles:
    """A listing of files whose content is as their name says."""
    files = tuple(DataFile(name=name, md5=f"{name}'s") for name in names)
    return DataFiles(files=files, revision=revision)


BUILT_IN = (
    "instructions/train.jsonl",
    "preferences/prompts.jsonl",
    "speeches/documents.jsonl",
    "speeches/documents-00001.jsonl",
)


def cleaned(data: DataFiles, sources: tuple[str, ...] = ()) -> str:
    """The fingerprint of the cleaning that would follow."""
    taken = address(TakeDocuments(), documents_in(data, sources))
    output = TakeDocuments.output()
    return Clean().fingerprint(output(path=taken, revision="", sources=()))


def test_documents_of_all_sources_are_chosen_and_nothing_else():
    data = listed(*BUILT_IN, "evaluation/quiz/documents.jsonl", "web/documents.jsonl", "web/a.txt")
    assert [file.name for file in documents_in(data).files] == [
        *BUILT_IN[2:],
        "web/documents.jsonl",
    ]
    assert [file.name for file in documents_in(data, ("web",)).files] == ["web/documents.jsonl"]


def test_a_source_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match=r"no documents of \['web'\]; it has: speeches"):
        documents_in(listed(*BUILT_IN), ("speeches", "web"))
    with pytest.raises(ValueError, match=r"of any source; it has: nothing.*bloomery data add"):
        documents_in(listed("instructions/train.jsonl"))


def test_documents_to_replay_are_not_learnt_too():
    data = listed(*BUILT_IN, "web/documents.jsonl")
    assert [file.name for file in documents_in(data, but=("speeches",)).files] == [
        "web/documents.jsonl"
    ]
    assert documents_in(data, ("web",), ("speeches",)) == documents_in(data, ("web",))
    with pytest.raises(ValueError, match=r"^web is to be learnt and to be replayed\. Name"):
        documents_in(data, ("speeches", "web"), ("web",))
    with pytest.raises(ValueError, match="Every source is to be learnt and to be replayed"):
        documents_in(data, but=("speeches", "web"))


def test_a_new_source_is_cleaned_unless_others_were_chosen():
    before, after = listed(*BUILT_IN), listed(*BUILT_IN, "web/documents.jsonl", revision="2.dir")
    assert cleaned(before) != cleaned(after)
    assert cleaned(before) == cleaned(after, ("speeches",))


def test_a_new_evaluation_set_or_revision_cleans_nothing_again():
    before = listed(*BUILT_IN)
    assert cleaned(before) == cleaned(listed(*BUILT_IN, "evaluation/quiz/documents.jsonl"))
    assert cleaned(before) == cleaned(listed(*BUILT_IN, revision="2.dir"))


def test_the_same_name_with_other_content_is_another_selection():
    before = listed(*BUILT_IN)
    changed = before.files[2].model_copy(update={"md5": "another"})
    after = DataFiles(files=(*before.files[:2], changed, before.files[3]), revision="1.dir")
    assert cleaned(before) != cleaned(after)


def test_the_documents_of_a_project_are_taken_with_their_revision(project):
    data = pinned_files()
    documents = execute(TakeDocuments(), documents_in(data, ("speeches",)))
    assert documents.sources == ("speeches",)
    assert len(list(read_documents(documents.path / "speeches" / "documents.jsonl"))) == 12
    record = read_record(documents.path)
    assert list(record.files) == ["speeches/documents.jsonl"]
    assert record.data_revision == documents.revision == data.revision
