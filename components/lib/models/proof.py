"""What a model of any architecture must do before a stage may use it, tried on the model itself."""

# T = tokens of a text, V = vocabulary

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

_LENGTH = 12  # tokens of the texts that it is tried on
_TOLERANCE = 1e-3  # of the largest logit; other orders of addition give 1e-6 in float32


@torch.no_grad()
def require_decoder(model: PreTrainedModel) -> None:
    """Try that a model continues text: no token sees a later one, and none is read twice.

    Raises:
        ValueError: it does not.
    """
    name, ids = type(model).__name__, _some_ids(model, 0)
    net: Any = model.eval()
    whole: Tensor = net(input_ids=ids, use_cache=False).logits  # (1, T, V)
    if not bool(whole.isfinite().all()):
        raise ValueError(f"This {name} gives logits that are no numbers: its weights are damaged.")
    changed = ids.clone()
    changed[0, -1] = ids[0, 0]
    if _differ(net(input_ids=changed, use_cache=False).logits[:, :-1], whole[:, :-1]):
        raise ValueError(
            f"In this {name} a token sees the ones after it, so that it cannot continue text. "
            "Take a causal language model."
        )
    _require_attention(model, ids, whole)
    half = _LENGTH // 2
    begun = net(input_ids=ids[:, :half], use_cache=True)
    if getattr(begun, "past_key_values", None) is None:
        raise ValueError(
            f"This {name} keeps no keys and values to read on from, as `past_key_values` of "
            "transformers. Take a model with attention."
        )
    rest = net(input_ids=ids[:, half:], past_key_values=begun.past_key_values, use_cache=True)
    if _differ(rest.logits, whole[:, half:]):
        raise ValueError(
            f"This {name} gives other logits where it reads on from keys and values than where it "
            "reads at once: its attention does not compute what it was trained to."
        )


def _require_attention(model: PreTrainedModel, ids: Tensor, whole: Tensor) -> None:
    """Hold the fast attention against the plain one: a variant may ask for what it leaves out."""
    chosen = str(getattr(model.config, "_attn_implementation"))  # noqa: B009 - it has no other name
    if chosen == "eager" or not getattr(model, "_supports_attention_backend", False):
        return
    model.set_attn_implementation("eager")
    call: Any = model
    try:
        plain: Tensor = call(input_ids=ids, use_cache=False).logits
    finally:
        model.set_attn_implementation(chosen)
    if _differ(plain, whole):
        raise ValueError(
            f"This {type(model).__name__} gives other logits with the attention {chosen!r} than "
            "with transformers' plain one, so it would not be the model that it was."
        )


@torch.no_grad()
def hides_documents(model: PreTrainedModel) -> bool:
    """Return whether texts in one sequence are hidden from each other where positions begin again.

    Some architectures take no positions, or do not look at them: packed texts would see each other.
    """
    was_training = model.training
    call: Any = model.eval()
    one, other = _some_ids(model, 0), _some_ids(model, 1)
    positions = torch.arange(_LENGTH, device=model.device).repeat(2)[None]
    try:
        packed = call(
            input_ids=torch.cat([one, other], 1), position_ids=positions, use_cache=False
        ).logits
        alone = torch.cat([call(input_ids=ids, use_cache=False).logits for ids in (one, other)], 1)
        return not _differ(packed, alone)
    except (TypeError, ValueError):  # it takes no `position_ids`
        return False
    finally:
        model.train(was_training)


def _some_ids(model: PreTrainedModel, seed: int) -> Tensor:
    embedding: Any = model.get_input_embeddings()
    size = int(embedding.weight.shape[0])
    random = torch.Generator().manual_seed(seed)
    return torch.randint(size, (1, _LENGTH), generator=random).to(model.device)


def _differ(one: Tensor, other: Tensor) -> bool:
    scale = float(one.abs().max()) + 1e-6
    return float((one - other).abs().max()) > _TOLERANCE * scale
