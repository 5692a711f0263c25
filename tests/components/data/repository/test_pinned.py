"""What is pinned: known by content before it is read, taken where it is sound, never edited."""

import shutil
from pathlib import Path

import pytest

from components.core.artifacts.data import DataRevision
from components.core.execute import execute
from components.core.journal import Origin, read_steps, revision_of_run
from components.core.settings import settings
from components.data.clean import Clean
from components.data.repository import dataset
from components.data.repository.objects import list_folder, md5_of, object_of
from components.data.repository.pinned import matching, pinned_files, take
from components.data.sources.source import Source
from components.data.take_documents import TakeDocuments, documents_in
from components.data.take_evaluation import TakeEvaluation, evaluation_in
from components.data.take_instructions import TakeInstructions, instructions_in
from components.data.take_preferences import TakePreferences, preferences_in
from tests import small_project


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """A project with an added source, so that DVC has all of it in its cache and its remote."""
    project = small_project.make(tmp_path_factory.mktemp("pinned") / "project")
    (project / "letter.txt").write_text("Dear Sir, the weather is fine.")
    state = project / ".bloomery"
    dataset.add(project, state, "letters", Source(location=str(project / "letter.txt")))
    return project


@pytest.fixture
def project(template, tmp_path, monkeypatch) -> Path:
    """A copy of it that a test may change."""
    project = shutil.copytree(template, tmp_path / "project", symlinks=True)
    monkeypatch.setenv("BLOOMERY_PROJECT", str(project))
    monkeypatch.setenv("BLOOMERY_HOME", str(project / ".bloomery"))
    settings.cache_clear()
    return project


@pytest.fixture
def out(tmp_path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def cache(project: Path) -> Path:
    return project / ".bloomery" / "dvc-cache"


def damage(file: Path) -> None:
    """Flip a byte of a file that may be write-protected."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)


def test_the_files_are_known_by_content_and_whole_data_gives_what_the_cache_lists(project):
    read = pinned_files()
    assert read.revision == dataset.revision(project)
    assert {file.name: file.md5 for file in read.files} == list_folder(project / "data")
    assert "letters/documents.jsonl" in {file.name for file in read.files}
    shutil.rmtree(project / "data")
    assert pinned_files() == read
    assert not (project / "data").exists(), "the listing in the cache is enough"


def test_data_that_nothing_lists_is_brought_back_before_it_is_named(project):
    read = pinned_files()
    shutil.rmtree(project / "data")
    shutil.rmtree(cache(project))
    assert pinned_files() == read
    assert dataset.status(project) == "clean"


def test_data_that_was_changed_by_hand_is_refused_before_anything_runs(project):
    (project / "data" / "speeches" / "extra.txt").write_text("not pinned")
    with pytest.raises(ValueError, match=r"is not what data\.dvc pins.*dvc checkout"):
        pinned_files()


def test_a_damaged_file_is_refused_before_anything_runs(project):
    damage(project / "data" / "letters" / "documents.jsonl")
    with pytest.raises(ValueError, match=r"is not what data\.dvc pins"):
        pinned_files()


def test_another_revision_than_the_pinned_one_is_refused_with_the_way_back(project):
    with pytest.raises(ValueError, match=r"Revision 0\.dir is asked.*bloomery data restore"):
        pinned_files(DataRevision(revision="0.dir"))


def test_a_pattern_chooses_files_by_their_whole_name(project):
    chosen = matching(pinned_files(), r"instructions/(train|test)\.jsonl")
    assert [file.name for file in chosen.files] == [
        "instructions/test.jsonl",
        "instructions/train.jsonl",
    ]
    assert matching(pinned_files(), "instructions").files == ()


def test_files_are_linked_from_the_cache_and_an_edit_of_the_data_does_not_reach_them(project, out):
    letters = matching(pinned_files(), "letters/.*")
    take(letters, out, below="letters/")
    [file] = letters.files
    taken = out / "documents.jsonl"
    assert taken.samefile(object_of(cache(project), file.md5))
    damage(project / "data" / "letters" / "documents.jsonl")
    assert md5_of(taken) == file.md5


def test_what_the_cache_lacks_is_copied_from_the_data_and_a_second_attempt_overwrites(project, out):
    letters = matching(pinned_files(), "letters/.*")
    shutil.rmtree(cache(project))
    (out / "letters").mkdir()
    (out / "letters" / "documents.jsonl").write_text("left by a crash")
    (out / "left.txt").write_text("left by a crash")
    take(letters, out)
    assert list_folder(out) == {file.name: file.md5 for file in letters.files}
    copied = project / "data" / "letters" / "documents.jsonl"
    assert not copied.samefile(out / "letters" / "documents.jsonl")


def test_a_damaged_object_of_the_cache_is_replaced_and_never_linked(project, out):
    letters = matching(pinned_files(), "letters/.*")
    [file] = letters.files
    damage(object_of(cache(project), file.md5))
    shutil.rmtree(project / "data")
    take(letters, out)
    assert md5_of(out / file.name) == file.md5
    assert not (out / ".brought").exists()


def test_a_file_that_is_sound_nowhere_is_an_error_that_names_the_revision(project, out):
    letters = matching(pinned_files(), "letters/.*")
    [file] = letters.files
    shutil.rmtree(project / "data")
    for place in ("dvc-cache", "dvc-remote"):
        damage(object_of(project / ".bloomery" / place, file.md5))
    with pytest.raises(ValueError, match=rf"pins {letters.revision}, which neither"):
        take(letters, out)


def test_a_revision_with_more_in_it_makes_only_the_kind_that_it_is_of(project):
    def taken(run: str) -> set[str]:
        """Take all four kinds in a run; return the steps that had to do something."""
        origin, data = Origin(run_id=run), pinned_files()
        execute(TakeDocuments(), documents_in(data), origin)
        execute(TakeInstructions(), instructions_in(data), origin)
        execute(TakePreferences(), preferences_in(data), origin)
        execute(TakeEvaluation(), evaluation_in(data), origin)
        assert revision_of_run(origin) == data.revision
        steps = read_steps(settings().runs / run)
        return {step.component for step in steps if not step.cached}

    assert len(taken("first")) == 4
    assert taken("again") == set()
    letter = Source(location=str(project / "letter.txt"))
    dataset.add(project, project / ".bloomery", "more", letter)
    assert taken("with a source") == {"data.take_documents"}
    dataset.add(
        project, project / ".bloomery", "quiz", letter.model_copy(update={"kind": "evaluation"})
    )
    assert taken("with a set") == {"data.take_evaluation"}


def test_a_damaged_artifact_is_refused_by_the_step_that_reads_it(project):
    documents = execute(TakeDocuments(), documents_in(pinned_files(), ("letters",)))
    damage(documents.path / "letters" / "documents.jsonl")
    with pytest.raises(ValueError, match=r"is not the file that data\.take_documents made"):
        execute(Clean(min_characters=1), documents)
