"""`bloomery generate` and `bloomery chat`: which model speaks, what it says, and how soon."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.compress.export import export_int8
from components.core.journal import Origin, Step, write_step
from components.core.record import RECORD, Record, hash_files, write_record
from components.core.settings import settings
from components.lib.inference.conversation import Conversation
from components.lib.inference.sampling import Sampling
from components.release.registry import register
from flows.command.app import app

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(instruct, tmp_path_factory) -> Path:
    """A model in both forms."""
    pytest.importorskip("onnxruntime_genai")
    made = tmp_path_factory.mktemp("both") / "model"
    ignored = shutil.ignore_patterns("checkpoints", "artifact.json")
    shutil.copytree(instruct.path, made, ignore=ignored)
    export_int8(made, made / "onnx")
    return made


@pytest.fixture
def released(folder, home, monkeypatch) -> Path:
    """The same model, released by a run of a home that has no server."""
    monkeypatch.setenv("BLOOMERY_TRACKING_URI", "")
    settings.cache_clear()
    path = settings().artifacts / "release.register" / "1.0.0" / "0123456789abcdef"
    shutil.copytree(folder, path)
    tags = {"path": path.relative_to(settings().artifacts).as_posix()}
    version = register("toy", path, tags).version
    artifact = {"path": tags["path"], "name": "toy", "registered_version": version}
    leave_record(path, "release.register", artifact)
    step = Step(
        component="release.register",
        version="1.0.0",
        fingerprint=path.name,
        cached=False,
        seconds=1.0,
        path=path,
    )
    write_step(Origin(run_id="id", run_name="brave-otter", flow="pipeline", recipe="smoke"), step)
    return path


def leave_record(path: Path, component: str, artifact: dict[str, object]) -> None:
    """Leave what every version of the platform writes into a record."""
    known = {"component": component, "version": "1.0.0", "fingerprint": path.name}
    (path / RECORD).write_text(json.dumps({**known, "artifact": artifact}), encoding="utf-8")


def bloomery(*words: str, said: str = ""):
    return CliRunner().invoke(app, words, input=said, catch_exceptions=False)


def refused(*words: str) -> str:
    with pytest.raises(ValueError) as error:
        bloomery(*words)
    return str(error.value)


def test_a_model_by_folder_name_or_as_the_last_release_goes_on_alike(released, folder):
    talk = Conversation(folder, 1)
    made = [
        bloomery("generate", *words, "The state of", "--max-new-tokens", "6").stdout
        for words in ([], ["toy"], [str(released)], [str(folder)])
    ]
    expected = list(talk.stream(talk.read("The state of"), Sampling(max_new_tokens=6)))
    assert made == [talk.text(expected) + "\n"] * 4


def test_who_speaks_is_said_beside_the_answer_and_how_to_choose_another(released, folder):
    said = bloomery("generate", "The state of", "--max-new-tokens", "2").stderr
    assert said.startswith("Model: toy version 1, recipe smoke, released by the run brave-otter\n")
    assert "`bloomery generate NAME` takes a registered model (toy) or a folder" in said
    assert "`bloomery chat NAME`" in bloomery("chat").stderr
    by_name = bloomery("chat", "toy").stderr
    assert by_name.startswith(
        "Model: toy version 1, recipe smoke, released by the run brave-otter\n"
    )
    assert "the last release" not in bloomery("chat", "toy").stderr
    assert bloomery("chat", str(folder)).stderr.startswith(f"Model: {folder}\n")


def test_an_artifact_is_called_by_the_component_that_made_it(released, folder):
    aligned = settings().artifacts / "align.dpo" / "1.0.0" / "fedcba9876543210"
    shutil.copytree(folder, aligned)
    leave_record(aligned, "align.dpo", {"path": str(aligned)})
    said = bloomery("chat", "align.dpo/1.0.0/fedcba9876543210").stderr
    assert said.startswith("Model: align.dpo version 1.0.0 (fedcba9876543210)\n")


def test_a_program_gets_the_model_the_text_and_the_likeliest_tokens(released):
    words = ("generate", "toy", "The state of", "--show-probabilities", "--json")
    found = json.loads(bloomery(*words, "--max-new-tokens", "3").stdout)
    assert list(found) == ["model", "version", "recipe", "prompt", "completion", "next_tokens"]
    assert found["recipe"] == "smoke"
    assert (found["model"], found["version"], found["prompt"]) == ("toy", "1", "The state of")
    assert found["completion"].startswith(found["next_tokens"][0]["token"])


def test_each_line_is_answered_until_one_is_empty(released, folder):
    talk = Conversation(folder, 1)
    answers = [talk.answer(message) for message in ("Count: 1 2 3", "Sort: 5 2 9")]
    shown = bloomery("chat", "toy", said="Count: 1 2 3\nSort: 5 2 9\n\nnot read\n").stdout
    assert shown == f"{answers[0]}\n{answers[1]}\n"


@pytest.mark.parametrize("form", ["int8", "float32"])
def test_both_forms_refuse_in_one_sentence_what_they_cannot_do(form, folder, tmp_path):
    path = tmp_path / "model"
    shutil.copytree(folder / "onnx" if form == "int8" else folder, path)
    if form == "float32":
        shutil.rmtree(path / "onnx")
    assert refused("generate", str(path), "") == (
        "A prompt is empty: give the model something to go on from."
    )
    assert refused("generate", str(path), "a", "--max-new-tokens", "0") == (
        "max_new_tokens is 0: ask for at least 1."
    )
    assert refused("generate", str(path), "a", "--max-new-tokens", "256") == (
        "A prompt of 1 tokens and 256 new ones do not fit a context of 256: "
        "shorten the prompt, or ask for 255 new ones at most."
    )
    said = refused("generate", str(path), "a b " * 400)
    assert "leaves no room in a context of 256: shorten it to 255 tokens at most." in said


def test_what_is_no_model_is_named_with_what_there_is(released, tmp_path):
    assert refused("generate", "weasel", "a") == (
        "No model 'weasel': neither a folder nor a registered model with a champion. "
        "Released here: toy."
    )
    assert "holds neither a config.json nor a genai_config.json" in refused("chat", str(tmp_path))
    assert "Put the prompt in quotes" in refused("generate", "toy", "The", "state")
    shutil.rmtree(released)
    assert refused("chat", "toy").startswith(f"toy version 1 is gone from {released}.")
    assert refused("chat").startswith("No run has released a model yet.")


def test_a_record_of_another_version_still_names_its_model_and_a_damaged_one_says_so(released):
    record = json.loads((released / "artifact.json").read_text("utf-8"))
    (released / "artifact.json").write_text(json.dumps({**record, "unknown": 1}), "utf-8")
    assert bloomery("chat").stderr.startswith("Model: toy version 1, recipe smoke, released by")
    (released / "artifact.json").write_text("{}", "utf-8")
    assert refused("chat").startswith(
        f"{released}/artifact.json is damaged (KeyError('component'))"
    )


def test_a_model_whose_files_were_damaged_since_does_not_speak(released):
    record = Record(
        component="release.register",
        version="1.0.0",
        fingerprint=released.name,
        config={},
        inputs={},
        artifact={"path": str(released), "name": "toy", "registered_version": 1},
        files=hash_files(released),
        seed=None,
        seconds=1.0,
        packages={},
        git_revision=None,
        data_revision=None,
        mlflow_run_id=None,
    )
    write_record(record, released)
    assert bloomery("generate", "toy", "a", "--max-new-tokens", "1").exit_code == 0
    weights = released / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    for words in (("chat", "toy"), ("chat",), ("generate", str(released), "a")):
        said = refused(*words)
        assert said.startswith(f"{weights} is not the file that release.register made")
        assert f"Remove {released} to make it again." in said


def test_nothing_slow_is_loaded_between_the_command_and_the_first_token(released):
    code = (
        "import sys\n"
        "from flows.command.app import app\n"
        "try:\n"
        "    app(['generate', *sys.argv[1:], 'The state of', '--max-new-tokens', '1'])\n"
        "except SystemExit as end:\n"
        "    assert not end.code\n"
        "slow = {'torch', 'transformers', 'mlflow', 'prefect', 'ray', 'pandas', 'onnxruntime'}\n"
        "sys.exit(' '.join(slow & set(sys.modules)) or 0)\n"
    )
    for words in ([], ["toy"], [str(released)]):
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (words, done.stderr)
        assert len(done.stdout) > 1
