"""Every name that a recipe may say has its class, its objective and its place in a record."""

import subprocess
import sys
from typing import get_args

from components.lib.models.architectures.named import ARCHITECTURES
from components.lib.models.shape import ArchitectureName, Shape
from components.lib.objectives.named import OBJECTIVES
from components.pretrain.train import Train


def test_every_name_has_a_class_of_its_own_and_an_objective():
    assert set(ARCHITECTURES) == set(get_args(ArchitectureName))
    assert len({type(architecture) for architecture in ARCHITECTURES.values()}) == len(
        ARCHITECTURES
    )
    assert {each.objective for each in ARCHITECTURES.values()} == set(OBJECTIVES)


def test_what_an_architecture_does_not_know_is_a_field_of_a_recipe():
    for architecture in ARCHITECTURES.values():
        assert set(architecture.without) <= set(Train.model_fields) - set(Shape.model_fields)


def test_a_recipe_is_checked_without_torch():
    code = (
        "import sys; from components.pretrain.train import Train;"
        "assert Train(architecture='bert').reads_both_ways;"
        "assert not Train(architecture='moe').reads_both_ways;"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
