from rich.console import Console

from components.core.journal import Origin
from components.core.machine import Machine
from dashboards.text.report import ReleasedModel, Report, StageRow
from dashboards.text.scorecard import markdown, table


def _report(**changes: object) -> Report:
    row = StageRow(
        stage="align",
        component="align.dpo",
        version="1.0.0",
        fingerprint="ab",
        cached=True,
        seconds=3.21,
        bits_per_byte=1.5,
        accuracy=0.75,
        accuracy_interval=(0.7, 0.8),
        bytes_on_disk=4_200_000,
    )
    values = {
        "origin": Origin(run_id="1", run_name="brave-otter", flow="pipeline"),
        "data_revision": "0123456789abcdef.dir",
        "baselines": {"unigram": 3.4, "trigram": 1.6},
        "stages": (row,),
        "rejected": (),
        "model": ReleasedModel(name="bloomery-tiny", version=2, alias="champion", path="/x"),
    }
    return Report.model_validate(values | changes)


def _printed(report: Report) -> str:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(table(report))
    return captured.get()


def test_both_scorecards_show_every_number_of_a_stage() -> None:
    for shown in (_printed(_report()), markdown(_report())):
        for part in ("align.dpo", "1.500", "75.0% (70-80)", "4.2 MB", "3.2", "cached"):
            assert part in shown
        assert "trigram baseline" in shown
        assert "Released: bloomery-tiny version 2, alias champion" in shown


def test_both_scorecards_say_what_machine_made_the_models() -> None:
    machine = Machine(
        processor="AMD EPYC",
        features=("avx2", "avx512f"),
        threads=2,
        workers=1,
        accelerators=("NVIDIA H100", "NVIDIA H100"),
    )
    row = _report().stages[0].model_copy(update={"machine": machine})
    other = row.model_copy(
        update={"component": "x", "machine": machine.model_copy(update={"threads": 1})}
    )
    for shown in (_printed(_report(stages=(row,))), markdown(_report(stages=(row,)))):
        words = " ".join(shown.split())
        assert "Made on AMD EPYC (avx2 avx512f), 2 CPU threads, 1 worker, 2 x NVIDIA H100." in words
    shown = markdown(_report(stages=(row, other)))
    assert "2 x NVIDIA H100: align.dpo." in shown
    assert "1 CPU thread, 1 worker, 2 x NVIDIA H100: x." in shown
    assert "Made on" not in markdown(_report()), "an old run does not say what it was made on"


def _cells(markdown: str) -> list[list[str]]:
    """Return the cells of all lines of Markdown tables."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in markdown.splitlines()]


def test_a_rejected_run_says_why() -> None:
    shown = markdown(_report(model=None, rejected=("accuracy: 0.5 against at most 0.2",)))
    assert "Not released. accuracy: 0.5 against at most 0.2" in shown


_CLEANED = StageRow(
    stage="data", component="data.clean", version="1", fingerprint="c", cached=False, seconds=1.04
)


def test_both_scorecards_begin_with_the_verdict() -> None:
    assert markdown(_report()).startswith("**Released: bloomery-tiny version 2")
    printed = _printed(_report())
    assert printed.index("Released") < printed.index("bits/byte")


def test_a_step_that_made_no_model_is_a_word_and_no_empty_row() -> None:
    for shown in (_printed(_report(stages=(_CLEANED,))), markdown(_report(stages=(_CLEANED,)))):
        assert "data.clean 1.0 s" in " ".join(shown.split())
    rows = _cells(markdown(_report(stages=(_CLEANED, _report().stages[0]))))
    assert "data.clean" not in {row[0] for row in rows if row}
    assert "align.dpo" in {row[0] for row in rows if row}


def test_columns_without_a_number_are_left_out_here_and_in_the_terminal() -> None:
    for shown in (_printed(_report()), markdown(_report())):
        assert "decode tokens/s" not in shown
        assert "bits/byte" in shown
    fast = _report().stages[0].model_copy(update={"decode_tokens_per_second": 10.0})
    assert "decode tokens/s" in markdown(_report(stages=(fast,)))


def test_a_run_that_measured_nothing_has_no_empty_table() -> None:
    shown = markdown(_report(stages=(_CLEANED,), baselines={}, model=None))
    assert "Nothing was released in this run." in shown
    assert "bits/byte" not in shown


def test_a_run_that_began_with_a_model_says_first_what_it_was() -> None:
    base = {
        "source": "hf://somebody/otter@main",
        "revision": "c0ffee",
        "content": "0123456789abcdef",
        "architecture": "LlamaForCausalLM",
        "parameters": 134_515_008,
        "context": 8192,
        "vocabulary": 49152,
        "begin": "<|im_start|>",
        "ends": ["<|im_end|>"],
        "padding": None,
        "licence": "apache-2.0",
        "chat_template": "its own",
    }
    report = _report()
    row = report.stages[0].model_copy(update={"base": base})
    lines = markdown(report.model_copy(update={"stages": (row,)})).splitlines()
    base_line = lines[lines.index("") + 2]  # the verdict, the run, and what it began with
    assert base_line.startswith("Base: LlamaForCausalLM, 134,515,008 parameters, context 8,192")
    told = ("49,152", "<|im_end|>", "fills up with none", "its own", "apache-2.0", "c0ffee")
    assert all(word in base_line for word in told)
