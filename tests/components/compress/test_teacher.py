"""TeacherLogits: what a teacher says of a text, kept as it said it."""

import json
import shutil

import numpy as np
import pytest
import torch

from components.compress.teacher import TeacherLogits, TeacherLogitsInputs
from components.lib.examples.permutation import draw
from components.lib.examples.scored import ScoreWriter
from components.lib.examples.windows import Windows
from components.lib.models.folders import load_model


@pytest.fixture
def inputs(checkpoint, shards, vocabulary) -> TeacherLogitsInputs:
    return TeacherLogitsInputs(teacher=checkpoint, shards=shards, vocabulary=vocabulary)


def arrays(folder) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    names = ("ids", "log_probabilities", "sequences")
    ids, kept, sequences = (np.load(folder / f"{name}.npy") for name in names)
    return ids, kept.astype(np.float64), sequences


def test_it_keeps_the_likeliest_tokens_their_logarithms_and_the_share_of_all_others(
    inputs, tmp_path
):
    component = TeacherLogits(top_k=6, temperature=1.5, sequence_length=64, num_draws=40, seed=3)
    scores = component.run(inputs, tmp_path)
    ids, kept, sequences = arrays(tmp_path)
    windows = Windows(inputs.shards.path / "train", 64)
    expected = {int(n) for step in range(5) for n in draw(step, 8, len(windows), seed=3)}
    assert sequences.tolist() == sorted(expected)
    assert ids.dtype == np.uint16
    assert ids.shape == (len(sequences), 64, 6)
    assert scores.num_sequences == len(sequences)
    written = sum(file.stat().st_size for file in tmp_path.glob("*.npy"))
    assert scores.bytes_on_disk == written
    with torch.no_grad():
        rows = torch.from_numpy(windows.batch(sequences[:4]).inputs)
        shares = (load_model(inputs.teacher.path)(rows).logits.double() / 1.5).softmax(-1).numpy()
    picked = np.take_along_axis(shares, ids[:4].astype(np.int64), -1)
    others = np.sort(shares, -1)[..., :-6]
    assert (picked.min(-1) >= others.max(-1) * 0.97).all(), "a likelier token was left out"
    assert np.allclose(kept[:4, :, :-1], np.log(picked), atol=0.03)
    assert np.allclose(kept[:4, :, -1], np.log(1 - picked.sum(-1)), atol=0.03)
    assert scores.mean_rest == pytest.approx(np.exp(kept[..., -1]).mean(), rel=0.01)


def test_a_killed_run_goes_on_where_it_was_and_ends_with_the_same_files(
    inputs, tmp_path, monkeypatch
):
    component = TeacherLogits(top_k=4, sequence_length=64, num_draws=200)
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    for out in (whole, halves):
        out.mkdir()
    component.run(inputs, whole)
    add, asked = ScoreWriter.add, []

    def add_and_die(self, batch, *values):
        asked.append(len(batch))
        if len(asked) == 3:
            raise KeyboardInterrupt
        add(self, batch, *values)

    with monkeypatch.context() as patch:
        patch.setattr(ScoreWriter, "add", add_and_die)
        with pytest.raises(KeyboardInterrupt):
            component.run(inputs, halves)
        again = component.run(inputs, halves)
    assert sum(asked) == again.num_sequences + asked[2], "it began from the beginning"
    for name in ("ids.npy", "log_probabilities.npy", "sequences.npy"):
        assert (halves / name).read_bytes() == (whole / name).read_bytes()


def test_where_documents_are_hidden_what_has_no_target_has_no_score(inputs, tmp_path):
    component = TeacherLogits(top_k=600, sequence_length=64, document_mask=True, num_draws=160)
    scores = component.run(inputs, tmp_path)
    ids, kept, _ = arrays(tmp_path)
    assert ids.shape[-1] == inputs.vocabulary.vocab_size
    assert scores.top_k == 600
    assert scores.mean_rest == 0
    is_scored = np.isinf(kept[..., -1])
    assert not is_scored.all()
    assert not kept[~is_scored].any()
    assert np.exp(kept[is_scored]).sum(-1) == pytest.approx(1, abs=2e-3)


def test_a_disk_that_is_too_small_is_said_before_the_teacher_reads(inputs, tmp_path, monkeypatch):
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: full)
    with pytest.raises(ValueError, match=r"keeping the teacher's scores needs .* are missing"):
        TeacherLogits(sequence_length=64).run(inputs, tmp_path)
    assert not list(tmp_path.glob("*.npy"))


def test_a_teacher_of_other_tokens_or_a_shorter_context_is_refused(inputs, tmp_path):
    with pytest.raises(ValueError, match="the context of the teacher, 256 tokens"):
        TeacherLogits(sequence_length=512).run(inputs, tmp_path)
    folder = tmp_path / "other"
    shutil.copytree(inputs.teacher.path, folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    ids = tokenizer["model"]["vocab"]
    ids["a"], ids["b"] = ids["b"], ids["a"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    teacher = inputs.teacher.model_copy(update={"path": folder})
    said = r"cannot read the student's tokens: 2 of 512 tokens differ: token \d+ is 'b' in the one"
    with pytest.raises(ValueError, match=said):
        TeacherLogits(sequence_length=64).run(
            inputs.model_copy(update={"teacher": teacher}), tmp_path
        )
