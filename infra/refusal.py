"""The server refuses a run that cannot be, in the words of the command line.

A JSON schema can say what type a value has, and not whether a path leads to a field, or whether a
recipe with these changes is one that can run. So the form of each flow has a keyword of our own,
and this server knows it. Any other passes over it, and the run fails in its first second with the
same sentence.
"""

from collections.abc import Iterator
from typing import Any

from jsonschema.exceptions import ValidationError
from prefect.utilities.schema_tools import validation

KEYWORD = "bloomery.flow"
"""The keyword, whose value is the name of the flow."""


def teach() -> None:
    """Make Prefect's validator of parameters know the keyword, in this process."""
    validation._VALIDATOR.VALIDATORS[KEYWORD] = _refuse  # pyright: ignore[reportPrivateUsage] # no public door


def _refuse(
    _validator: Any, flow: str, parameters: Any, _schema: dict[str, Any]
) -> Iterator[ValidationError]:
    if not {"recipe", "set"} & set(parameters):
        return
    from flows.parameters import problem  # here: seconds, and a server that starts has no time

    if sentence := problem(flow, parameters):
        yield ValidationError(sentence, path=["set" if parameters.get("set") else "recipe"])
