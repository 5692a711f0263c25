"""The evaluation sets: a new one is looked for in the documents, which are not cleaned again."""

import shutil

from components.core.artifacts.data import DataFile, DataFiles, DocumentShards
from components.core.execute import address
from components.core.settings import settings
from components.data.decontaminate import Decontaminate, DecontaminateInputs
from components.data.document import Document, write_documents, write_lines
from components.data.overlap.items import evaluation_items
from components.data.repository.pinned import pinned_files
from components.data.take_evaluation import TakeEvaluation, evaluation_in
from components.lib.tasks.microtasks import MicroTask
from tests import small_project


def test_sets_and_held_out_tasks_are_all_looked_for(project, tmp_path):
    question = Document(id="quiz/1", text="Why do leaves turn red?")
    task = MicroTask(id="a", task="count", level=1, prompt="1 + 1?", completion="2", answer="2")
    data = project / "data"
    shutil.rmtree(data)
    write_documents(data / "evaluation" / "quiz" / "documents.jsonl", [question])
    write_lines(data / "instructions" / "test.jsonl", [task.model_dump()])
    write_lines(data / "instructions" / "train.jsonl", [])
    small_project.pin(project)
    sets = TakeEvaluation().run(evaluation_in(pinned_files()), tmp_path / "out")
    assert sets.names == ("quiz",)
    assert [item.text for item in evaluation_items(sets)] == [question.text, task.prompt]
    assert not (sets.path / "train.jsonl").exists()


def test_a_project_without_evaluation_sets_has_its_held_out_tasks_alone(project, tmp_path):
    sets = TakeEvaluation().run(evaluation_in(pinned_files()), tmp_path / "out")
    assert sets.names == ()
    kept = (project / "data" / "instructions" / "test.jsonl").read_bytes()
    assert (sets.path / "test.jsonl").read_bytes() == kept


def test_a_new_set_is_looked_for_and_a_new_source_leaves_the_sets_as_they_are(project):
    held_out = DataFile(name="instructions/test.jsonl", md5="a")

    def searched(*names: str) -> str:
        files = (held_out, *(DataFile(name=name, md5=name) for name in names))
        asked = evaluation_in(DataFiles(files=files, revision="1.dir"))
        sets = TakeEvaluation.output()(path=address(TakeEvaluation(), asked), revision="", names=())
        documents = DocumentShards(
            path=settings().artifacts / "clean", num_documents=0, num_bytes=0, dropped={}
        )
        inputs = DecontaminateInputs(documents=documents, evaluation=sets)
        return Decontaminate().fingerprint(inputs)

    assert searched() != searched("evaluation/quiz/documents.jsonl")
    assert searched() == searched("web/documents.jsonl")
