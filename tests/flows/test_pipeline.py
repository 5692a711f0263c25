"""The whole pipeline as a user runs it: Prefect, Ray, MLflow and DVC, all real, recipe `smoke`."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.smoke import Smoke

if TYPE_CHECKING:
    from mlflow import MlflowClient

ROOT = Path(__file__).resolve().parents[2]
LAST_STEPS = ["compress.quantize", "evals.probe", "release.gate"]

pytestmark = [pytest.mark.slow, pytest.mark.ray]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def environment(smoke: Smoke) -> dict[str, str]:
    return smoke.environment


@pytest.fixture(scope="module")
def bloomery(smoke: Smoke) -> Run:
    return smoke.bloomery


@pytest.fixture(scope="module")
def report(bloomery: Run) -> dict[str, Any]:
    return json.loads(bloomery("report", "--json").stdout)


def test_a_killed_run_is_continued_where_it_was(report: dict[str, Any]) -> None:
    cached = {stage["component"]: stage["cached"] for stage in report["stages"]}
    assert cached["data.tokenize"]
    assert cached["pretrain.train"]
    assert not cached["align.dpo"]
    assert not cached["release.register"]


def test_no_server_outlives_the_run_that_was_killed(
    report: dict[str, Any], environment: dict[str, str]
) -> None:
    home = environment["BLOOMERY_HOME"]
    assert not [process for process in _processes(home) if "uvicorn" in process.cmdline()]


def _processes(home: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("BLOOMERY_HOME") == home:
                yield process


def test_prefect_shows_of_every_step_a_full_bar_a_link_and_a_line_on_the_page_of_the_run(
    report: dict[str, Any], environment: dict[str, str]
) -> None:
    database = Path(environment["BLOOMERY_HOME"], "prefect", "prefect.db")
    run = report["origin"]["run_id"]
    with closing(sqlite3.connect(database)) as connection:
        pages = connection.execute("SELECT key, data, task_run_id FROM artifact").fetchall()
        said = connection.execute(
            "SELECT message FROM log WHERE flow_run_id = ? AND name = 'flows.progress'", [run]
        ).fetchall()
    full = [key for key, data, task_run in pages if task_run and data == 100]
    for stage in report["stages"]:
        key = stage["component"].replace(".", "-").replace("_", "-")
        assert key in full
        assert any(name == f"mlflow-{key}" and "/#/experiments/" in data for name, data, _ in pages)
        assert any(line.startswith(f"{stage['component']}: ") for (line,) in said)


def test_the_scorecard_has_every_stage_in_order(report: dict[str, Any]) -> None:
    made = [s["component"] for s in report["stages"] if s["component"] != "evals.probe"]
    assert made == [
        "data.take_documents",
        "data.take_instructions",
        "data.take_preferences",
        "data.take_evaluation",
        "data.clean",
        "data.deduplicate",
        "data.decontaminate",
        "data.mask",
        "data.split",
        "data.vocabulary",
        "data.vocabulary_report",
        "data.tokenize",
        "data.scan",
        "data.card",
        "data.validate",
        "evals.baselines",
        "pretrain.train",
        "finetune.sft",
        "align.sample",
        "align.reference",
        "align.dpo",
        "compress.quantize",
        "release.gate",
        "release.register",
    ]
    assert set(report["baselines"]) == {"unigram", "trigram"}
    assert report["data_revision"].endswith(".dir")


def test_every_model_of_the_run_was_probed(report: dict[str, Any]) -> None:
    stages = {stage["component"]: stage for stage in report["stages"]}
    for model in ("pretrain.train", "finetune.sft", "align.dpo", "compress.quantize"):
        assert stages[model]["bits_per_byte"] > 0
        assert 0 <= stages[model]["accuracy"] <= 1
    assert stages["compress.quantize"]["bytes_on_disk"] < stages["align.dpo"]["bytes_on_disk"]


def test_the_released_folder_loads_without_code_of_ours(report: dict[str, Any]) -> None:
    script = (
        "import sys; from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        "t = AutoTokenizer.from_pretrained(sys.argv[1])\n"
        "m = AutoModelForCausalLM.from_pretrained(sys.argv[1])\n"
        "ids = t.apply_chat_template([{'role': 'user', 'content': 'Copy: 1 2'}],"
        " add_generation_prompt=True, return_tensors='pt', return_dict=True)\n"
        "assert m.generate(**ids, max_new_tokens=4).shape[0] == 1\n"
        "assert not any(name.split('.')[0] in ('components', 'flows') for name in sys.modules)\n"
    )
    command = [sys.executable, "-c", script, report["model"]["path"]]
    outside = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, cwd="/", env=outside, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.prove
def test_lm_eval_runs_on_the_released_folder(report: dict[str, Any], tmp_path: Path) -> None:
    rows = [{"text": "Copy: 1 2", "choices": [" 1 2", " 9"], "label": 0}] * 4
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "copying.yaml").write_text(
        "task: copying\ndataset_path: json\n"
        f"dataset_kwargs:\n  data_files:\n    test: {tmp_path / 'rows.jsonl'}\n"
        "test_split: test\noutput_type: multiple_choice\n"
        'doc_to_text: "{{text}}"\ndoc_to_choice: "{{choices}}"\ndoc_to_target: label\n'
        "metric_list:\n  - metric: acc\n"
    )
    command = [sys.executable, "-m", "lm_eval", "--model", "hf", "--device", "cpu"]
    command += ["--model_args", f"pretrained={report['model']['path']}"]
    command += ["--tasks", "copying", "--include_path", str(tmp_path)]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    done = subprocess.run(command, cwd=tmp_path, env=offline, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "acc" in done.stdout


def test_the_same_command_again_does_no_work(bloomery: Run, report: dict[str, Any]) -> None:
    again = bloomery("run", "--recipe", "smoke")
    assert again.returncode == 0, again.stderr
    repeated = json.loads(bloomery("report", "--json").stdout)
    assert repeated["origin"]["run_id"] != report["origin"]["run_id"]
    assert all(stage["cached"] for stage in repeated["stages"])
    assert repeated["model"] == report["model"]
    made = [stage["fingerprint"] for stage in report["stages"]]
    assert [stage["fingerprint"] for stage in repeated["stages"]] == made


def test_a_change_to_compression_runs_again_only_what_depends_on_it(
    bloomery: Run, report: dict[str, Any]
) -> None:
    bloomery("run", "--recipe", "smoke", "--set", "quantize.block_size=64")
    changed = json.loads(bloomery("report", "--json").stdout)
    fresh = [stage["component"] for stage in changed["stages"] if not stage["cached"]]
    assert fresh[:3] == LAST_STEPS
    assert set(fresh) <= {*LAST_STEPS, "release.register"}
    assert changed["origin"]["run_id"] != report["origin"]["run_id"]


def test_a_gate_that_fails_releases_nothing_and_says_by_how_much(
    bloomery: Run, report: dict[str, Any]
) -> None:
    refused = bloomery("run", "--recipe", "smoke", "--set", "gate.max_trigram_shortfall=-5")
    assert refused.returncode == 1
    assert "Not released" in refused.stdout
    assert "at most -5.0000, fails by" in " ".join(refused.stdout.split())
    scorecard = json.loads(bloomery("report", "--json").stdout)
    assert scorecard["model"] is None
    assert "at most -5.0000" in scorecard["rejected"][0]


def test_lineage_leads_back_to_the_revision_of_the_data(
    bloomery: Run, report: dict[str, Any]
) -> None:
    link = json.loads(bloomery("lineage", "bloomery-smoke", "--json").stdout)
    seen = [link["component"]]
    while link["inputs"]:
        link = next(iter(link["inputs"].values()))
        seen.append(link["component"])
    assert seen[0] == "release.register"
    assert seen[-1] == "data.take_documents"
    assert link["data_revision"] == report["data_revision"]


def _mlflow(environment: dict[str, str]) -> "MlflowClient":
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{environment['BLOOMERY_HOME']}/mlflow/mlflow.db")


def test_mlflow_shows_the_lineage_of_the_registered_model(
    report: dict[str, Any], environment: dict[str, str]
) -> None:
    version = _mlflow(environment).get_model_version("bloomery-smoke", "1")
    assert version.tags["data_revision"] == report["data_revision"]
    assert version.tags["flow_run_url"].endswith(report["origin"]["run_id"])
    lines = version.description.splitlines()
    assert lines[0].startswith("**A language model of "), "what it is comes first"
    lines = lines[lines.index("Made from:") :]
    assert lines[2].startswith("- [release.register](#/experiments/"), (
        "the step's page is not linked"
    )
    for stage in ("compress.quantize", "align.dpo", "finetune.sft", "pretrain.train"):
        assert any(f"[{stage}](#/" in line for line in lines)
    assert any(line.endswith(f"data revision `{report['data_revision']}`") for line in lines)


def test_what_a_run_kept_is_not_read_again_when_data_is_added_to_it(
    bloomery: Run, report: dict[str, Any], environment: dict[str, str]
) -> None:
    name = report["origin"]["run_name"]
    added = bloomery("run", "data", "--recipe", "smoke", "--known", name)
    assert added.returncode == 0, added.stdout + added.stderr
    found = json.loads(bloomery("report", "--json").stdout)
    [step] = [s for s in found["stages"] if s["component"] == "data.deduplicate"]
    assert not step["cached"]
    folder = Path(environment["BLOOMERY_HOME"], "artifacts", step["component"], step["version"])
    dropped = json.loads((folder / step["fingerprint"] / "artifact.json").read_text("utf-8"))
    assert set(dropped["artifact"]["dropped"]) == {"duplicate"}, "all of it was there already"


def test_a_registered_model_generates_with_probabilities(
    bloomery: Run, report: dict[str, Any]
) -> None:
    words = ("generate", "bloomery-smoke", "The state of", "--show-probabilities", "--json")
    made = json.loads(bloomery(*words).stdout)
    shares = [row["probability"] for row in made["next_tokens"]]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 1


def test_mlflow_shows_components_below_their_run(
    report: dict[str, Any], environment: dict[str, str]
) -> None:
    client = _mlflow(environment)
    experiment = client.get_experiment_by_name("bloomery")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=200)
    parents = [run for run in runs if run.data.tags["level"] == "flow"]
    (parent,) = [p for p in parents if p.data.tags["flow_run_id"] == report["origin"]["run_id"]]
    children = [
        run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    ]
    assert {"finetune.sft", "align.dpo"} <= {run.data.tags["component"] for run in children}
    assert parent.data.metrics["compress.quantize.bits_per_byte"] > 0
    (sft,) = [run for run in children if run.data.tags["component"] == "finetune.sft"]
    assert client.get_metric_history(sft.info.run_id, "loss")
    assert sft.data.params["training.num_steps"] == "40"
    assert all(run.info.status == "FINISHED" for run in children)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--recipe", "huge"], "No recipe 'huge'. There are: tiny"),
        (["--set", "dpo.betta=1"], "dpo has no field 'betta'"),
        (["--set", "dpo.beta=-1"], "dpo.beta: Input should be greater than 0, not -1"),
        (["--set", "dpo.beta"], "has no `=`"),
        (["--set", "pretrain.num_heads=3"], "is not a multiple of num_heads=3"),
        (["--set", "pretrain.training.batch_size=1000000"], "fewer than one batch"),
        (["nonsense"], "No flow 'nonsense'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_input_gets_one_clear_message(
    bloomery: Run, report: dict[str, Any], words: list[str], says: str
) -> None:
    recipe = [] if "--recipe" in words else ["--recipe", "smoke"]
    refused = bloomery("run", *words, *recipe)
    assert refused.returncode == 1
    assert says in refused.stderr
    assert "Traceback" not in refused.stderr + refused.stdout
