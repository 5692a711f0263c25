"""What a run decides: its stages in the order that data flows through them, typed values all."""

from collections.abc import Iterator
from itertools import pairwise

from pydantic import model_validator

from components.core.artifacts.base import Frozen
from flows.align import DirectPreference, OwnPreference
from flows.compress import Frontier, Int8
from flows.continued import ContinuedPretraining
from flows.data import CorpusSteps, TokenSteps
from flows.evals import MEASURED, Evals
from flows.finetune import Supervised
from flows.pretrain import ExistingModel, FromScratch
from flows.release import ReleaseSteps
from flows.stage import Stage, fits


class Recipe(Frozen):
    """What a run is made of, in the order that data flows through it.

    A stage is one of its alternatives, or null: left out. Stages that do not fit are refused. Each
    alternative has a field that no other has, by which forms and `--set` tell them apart.
    """

    corpus: CorpusSteps = CorpusSteps()
    """Documents."""
    tokens: TokenSteps = TokenSteps()
    """The documents as tokens."""
    pretrain: FromScratch | ExistingModel = FromScratch()
    """Base model."""
    continued: ContinuedPretraining | None = None
    """Base model that has read more documents."""
    finetune: Supervised | None = Supervised()
    """Instruct model."""
    align: DirectPreference | OwnPreference | None = DirectPreference()
    """Aligned model."""
    compress: Int8 | Frontier | None = Int8()
    """Small model."""
    evals: Evals = Evals()
    """What is measured after every stage."""
    release: ReleaseSteps | None = ReleaseSteps()
    """Released model."""

    def stages(self) -> tuple[Stage, ...]:
        """Return the stages that are there, in order."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return tuple(value for value in values if isinstance(value, Stage))

    def until(self, name: str) -> tuple[Stage, ...]:
        """Return the stages up to the one that is called `name`; none for `data`.

        Raises:
            ValueError: the recipe leaves it out.
        """
        if name == "data":
            return ()
        stages = self.stages()
        names = [stage.name for stage in stages]
        if name in names:
            return stages[: names.index(name) + 1]
        if name == "release":
            return stages
        raise ValueError(
            f"The recipe leaves out {name!r}. It has: data, {', '.join(names)}. Run as far as one "
            f"of these, or give it the stage: --set {name}='{{}}'."
        )

    @model_validator(mode="after")
    def _stages_fit(self) -> "Recipe":
        if problems := list(self._problems()):
            raise ValueError(" ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        stages = self.stages()
        for before, after in pairwise(stages):
            if not fits(before.makes(), after):
                taken = " or ".join(kind.__name__ for kind in after.takes())
                yield (
                    f"{after.name} ({type(after).__name__}) takes {taken}, but "
                    f"{before.name} ({type(before).__name__}) makes {before.makes().__name__}. "
                    f"Leave {after.name} out (--set {after.name}=null), or change {before.name}."
                )
        for stage in stages:
            yield from stage.problems(self.pretrain)
        extends = self.tokens.extend is not None and isinstance(self.pretrain, ExistingModel)
        if extends and not any(stage.trains_embeddings() for stage in stages):
            yield (
                "tokens.extend gives the model rows for new tokens, and no stage trains its "
                "embeddings. Bring one in (--set continued='{}'), or train all weights "
                "(--set finetune.lora=null)."
            )
        if self.release is not None and not any(stage.makes() in MEASURED for stage in stages):
            kinds = " or ".join(kind.__name__ for kind in MEASURED)
            yield (
                f"release takes a model that was measured ({kinds}), but {stages[-1].name} makes "
                f"{stages[-1].makes().__name__}. Leave release out (--set release=null)."
            )
