"""What a low-rank adapter is."""

from typing import Literal

from pydantic import Field

from components.core.artifacts.base import Frozen


class LoRA(Frozen):
    """Train a small update of each linear map of the blocks; all else stays as it was.

    The update is the product of two narrow matrices (Hu et al. 2021, arXiv 2106.09685).
    """

    rank: int = Field(default=16, ge=1)
    """Columns of the narrow matrices."""
    alpha: float = Field(default=32.0, gt=0)
    """The update is scaled by alpha / rank, or in `rslora` by alpha / sqrt(rank)."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of an adapter's inputs that are dropped while it trains."""
    method: Literal["lora", "rslora", "dora"] = "lora"
    """`rslora` is scaled so that large ranks learn (Kalajdzievski 2023); `dora` learns how long
    each row is apart from where it points (Liu et al. 2024)."""
    base: Literal["float32", "nf4"] = "float32"
    """`nf4` keeps what is not trained in 4 bits, for memory (Dettmers et al. 2023, QLoRA). The
    merged model is that of the rounded weights, and what rounding costs is measured after the stage
    as all that it costs. Needs bitsandbytes."""
    targets: tuple[str, ...] = ()
    """Names of linear maps, such as `["q_proj", "v_proj"]`; none means all within the blocks."""
    max_merge_difference: float = Field(default=1e-4, gt=0)
    """Largest difference of a logit between the adapter and the merged model that is saved, as a
    share of the largest logit. More is refused."""
