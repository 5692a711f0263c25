"""The recipe `continue`: a model of an earlier run reads documents and learns tokens of theirs."""

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.smoke import Smoke

pytestmark = [pytest.mark.prove, pytest.mark.slow]


def test_a_model_reads_documents_with_new_tokens_and_is_released(
    smoke: Smoke, tmp_path: Path
) -> None:
    there = smoke.copy(tmp_path / "project")
    (base,) = there.home.glob("artifacts/pretrain.train/*/*/artifact.json")
    asked = [
        f"pretrain.source={base.parent}",
        "tokens.extend.num_learnt=40",
        "continued.num_epochs=2",
        "continued.replay_share=0.2",
        'continued.replay=["speeches"]',
    ]
    done = there.bloomery(
        "run", "--recipe", "continue", *(word for each in asked for word in ("--set", each))
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(there.bloomery("report", "--json").stdout)
    bits = {line["component"]: line["bits_per_byte"] for line in report["stages"]}
    assert bits["continued.train"] < bits["pretrain.widen"] - 0.05
    cards = there.home.glob("artifacts/release.register/*/*/README.md")
    (card,) = (each for each in cards if "# bloomery-continued" in each.read_text("utf-8"))
    assert "tokens that the base did not have" in card.read_text("utf-8")
    tokenizer = AutoTokenizer.from_pretrained(card.parent)
    model = AutoModelForCausalLM.from_pretrained(card.parent)
    assert len(tokenizer) == model.config.vocab_size == 384 + 40
    seen = there.bloomery("ledger", "bloomery-continued", "--step", "3")
    assert "Step 3 saw" in seen.stdout, seen.stderr
    seen = json.loads(there.bloomery("ledger", "bloomery-continued", "--json").stdout)
    assert 0.1 < seen["replayed"] / seen["examples"] < 0.3
    assert "continued.train" in there.bloomery("lineage", "bloomery-continued").stdout
