"""The frontier: several ways to make a model smaller, of which a budget picks one."""

import json
from pathlib import Path

import pytest

from flows.changes import changed
from flows.compress import Frontier
from flows.recipes import recipe, smoke
from tests.smoke import Smoke

_CHAINS = [
    {"method": "int8"},
    {"method": "int8 in blocks of 64", "export": {"block_size": 64}},
    {"method": "as it is", "export": None},
]


def test_the_recipe_tries_at_least_eight_ways_each_with_a_name_of_its_own() -> None:
    stage = recipe("compress").compress
    assert isinstance(stage, Frontier)
    methods = [chain.method for chain in stage.chains]
    assert len(methods) >= 8
    assert len({*methods}) == len(methods)


def test_its_fields_are_reached_and_choose_it_by_themselves() -> None:
    made = changed(smoke(), [f"compress.chains={json.dumps(_CHAINS)}", "prefer=fastest"]).compress
    assert isinstance(made, Frontier)
    assert [chain.method for chain in made.chains] == [chain["method"] for chain in _CHAINS]
    assert made.choose.prefer == "fastest"
    with pytest.raises(ValueError, match="chains"):
        changed(smoke(), ["compress.chains=[]"])
    with pytest.raises(ValueError, match="two ways are called int8"):
        changed(smoke(), [f"compress.chains={json.dumps([_CHAINS[0]] * 2)}"])


def test_a_wrong_field_of_a_way_is_named_by_its_place() -> None:
    wrong = [{"method": "few", "prune": {"method": {"compare": "columns"}}}]
    with pytest.raises(ValueError, match=r" compress\.chains\.0\.prune\.method\.compare: Input"):
        changed(smoke(), [f"compress.chains={json.dumps(wrong)}"])


@pytest.mark.slow
@pytest.mark.ray
def test_of_several_ways_the_smallest_within_the_budget_is_released(
    smoke: Smoke, tmp_path: Path
) -> None:
    there = smoke.copy(tmp_path / "project")
    asked = [f"compress.chains={json.dumps(_CHAINS)}", "compress.fidelity.num_items=8"]
    asked += ["compress.fidelity.num_prompts=4", "choose.max_bits_per_byte_increase=0.05"]
    words = [word for each in asked for word in ("--set", each)]
    done = there.bloomery("run", "--recipe", "smoke", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = there.home.glob("artifacts/compress.choose/*/*/artifact.json")
    chosen = record.parent
    told = json.loads((chosen / "report" / "frontier.json").read_text("utf-8"))
    rows = {row["method"]: row for row in told["candidates"]}
    assert set(rows) == {chain["method"] for chain in _CHAINS}
    exports = [row for name, row in rows.items() if name != "as it is"]
    assert not any(row["objections"] for row in exports)
    smallest = min(exports, key=lambda row: row["bytes_on_disk"])
    assert [row["method"] for row in rows.values() if row["is_chosen"]] == [smallest["method"]]
    assert rows["as it is"]["divergence"] < 1e-6
    assert rows["as it is"]["objections"] == ["it is no export", "0% is small (min_coverage=0.9)"]
    cards = there.home.glob("artifacts/release.register/*/*/README.md")
    (card,) = (text for text in (each.read_text("utf-8") for each in cards) if "KL to the" in text)
    assert "| linear weights in 8 bits or fewer" in card
    again = there.bloomery("run", "--recipe", "smoke", *words)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "nothing to do" in (again.stdout + again.stderr).lower() or "cached" in again.stdout
