from infra.scaling import NUM_GPUS, PAGE, WORKLOADS, page


def test_the_page_says_what_the_arithmetic_says():
    assert PAGE.read_text("utf-8") == page(), "write it again: python -m infra.scaling"


def test_the_page_has_a_row_for_every_model_size_and_method():
    rows = [line for line in page().splitlines() if line.endswith(" |") and "%" in line]
    assert len(rows) == len(WORKLOADS) * len(NUM_GPUS) * 2
