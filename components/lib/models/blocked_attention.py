"""Causal attention for a CPU: batched matrix products that skip most of what the mask hides.

transformers' own for a CPU multiply every query with every key. Here the queries are cut into
blocks, each of which meets the keys that it may see and few others: where documents share a
sequence, hardly more than those of its own document. A group of queries meets its key without
copies of it, and the gradient keeps one half-precision copy of the probabilities, or none of them.
Importing this module makes `BLOCKED` a name that transformers' models take as
`attn_implementation`.
"""

# B = sequences, T = tokens, S = tokens of a block, U = keys that a block meets, H = heads,
# K = heads of keys and values, G = H / K, D = size of a head

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask, sdpa_mask

from components.lib.models.attention_blocks import (
    Block,
    Documents,
    blocks_of,
    blocks_of_documents,
    documents_of,
    note_documents,
)

BLOCKED = "blocked"


@lru_cache(maxsize=8)
def _whole_bias(length: int, window: int | None, dtype: torch.dtype) -> Tensor:
    return _bias(Block(0, length, 0), window, dtype)


def _bias_of(block: Block, window: int | None, dtype: torch.dtype) -> Tensor:
    """Return the bias of a block of any place and size, cut out of one that serves many."""
    if block.row is None:
        return _bias(block, window, dtype)
    size = block.end - block.first
    whole = _whole_bias(-(-size // 256) * 256, window, dtype)
    return whole[block.start - block.first : size, :size]


@lru_cache(maxsize=64)
def _bias(block: Block, window: int | None, dtype: torch.dtype) -> Tensor:
    """Return 0 where a query sees a key and -inf elsewhere, shape (S, U)."""
    distance = torch.arange(block.start, block.end)[:, None] - torch.arange(block.first, block.end)
    hidden = (distance < 0) | (distance >= (window or block.end))
    return torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, float("-inf"))


def _hide(scores: Tensor, block: Block, window: int | None, hidden: Tensor | None) -> None:
    """Set to -inf what the queries of a block do not see, in scores (B K, G S, U)."""
    if hidden is not None and block.is_mixed:
        met = hidden[block.rows(), :, block.start : block.end, block.first : block.end]
        scores.view(len(met), -1, *met.shape[2:]).masked_fill_(met, float("-inf"))
        return
    bias = _bias_of(block, window, scores.dtype)
    clear = 0 if window else block.start - block.first  # keys that all queries see
    scores.unflatten(1, (-1, bias.shape[0]))[..., clear:] += bias[:, clear:]


def _probabilities(
    queries: Tensor, keys: Tensor, block: Block, window: int | None, hidden: Tensor | None
) -> Tensor:
    """Return the softmax of a block, (B K, G S, U), for scaled queries (B, K, G, T, D).

    `keys` are (B K, T, D); B is 1 in what is returned if the block is of one sequence.
    """
    seen = keys[block.rows(queries.shape[1]), block.first : block.end]  # (B K, U, D)
    rows = queries[block.rows(), :, :, block.start : block.end]
    scores = torch.bmm(rows.reshape(len(seen), -1, seen.shape[2]), seen.transpose(1, 2))
    _hide(scores, block, window, hidden)
    return torch.softmax(scores, -1)  # float32 inside


class _BlockedAttention(torch.autograd.Function):
    """Softmax(scaling x query key^T) value, and its gradient.

    Of documents, where sequences are long, the gradient computes the probabilities again.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scaling: float,
        window: int | None,
        hidden: Tensor | None,
        documents: Documents | None,
    ) -> Tensor:
        """Return (B, T, H, D) for query (B, H, T, D), key and value (B, K, T, D).

        `hidden` (B, 1, T, T), if given, is true where a query does not see a key; it hides all
        that is not causal or outside of the window, and no query's own key. `documents` say the
        same, if it hides nothing else.
        """
        batch, num_heads, length, size = query.shape
        shape = (batch, key.shape[1], num_heads // key.shape[1], length, size)  # B K G T D
        kind = query.device.type
        narrows = torch.is_autocast_enabled(kind) and value.dtype == torch.float32
        dtype = torch.get_autocast_dtype(kind) if narrows else value.dtype
        queries = (query * scaling).to(dtype).view(shape)
        keys = key.to(dtype).reshape(-1, length, size)  # (B K, T, D)
        values = value.to(dtype).reshape(-1, length, size)
        out = torch.empty(batch, length, *shape[1:3], size, dtype=dtype)
        kept: list[Tensor] = []
        blocks = blocks_of(length, window)
        if documents is not None:
            blocks = blocks_of_documents(documents, length, num_heads)
        for block in blocks:
            own, met = block.rows(shape[1]), slice(block.first, block.end)
            probabilities = _probabilities(queries, keys, block, window, hidden)
            if documents is None:
                kept.append(probabilities)
            made = torch.bmm(probabilities, values[own, met])
            made = made.view(-1, *shape[1:3], block.end - block.start, size)
            out[block.rows(), block.start : block.end] = made.permute(0, 3, 1, 2, 4)
        ctx.save_for_backward(queries, keys, values, *kept)
        ctx.blocks, ctx.window, ctx.hidden = blocks, window, hidden
        ctx.scaling = scaling
        ctx.dtypes = query.dtype, key.dtype, value.dtype
        return out.view(batch, length, num_heads, size)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore - torch's decorator hides the parameters' names
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients of query, key and value."""
        queries, keys, values, *kept = ctx.saved_tensors
        batch, *groups, length, size = queries.shape
        of_output = gradients[0].unflatten(2, groups).permute(0, 2, 3, 1, 4)  # (B, K, G, T, D)
        of_queries = torch.empty(queries.shape, dtype=queries.dtype)
        of_keys, of_values = torch.zeros_like(keys), torch.zeros_like(values)
        for number, block in enumerate(ctx.blocks):
            probabilities = (
                kept[number]
                if kept
                else _probabilities(queries, keys, block, ctx.window, ctx.hidden)
            )
            rows, met = slice(block.start, block.end), slice(block.first, block.end)
            row, own = block.rows(), block.rows(groups[0])
            of_made = of_output[row, :, :, rows].reshape(len(probabilities), -1, size)
            of_values[own, met].baddbmm_(probabilities.transpose(1, 2), of_made)
            of_probabilities = torch.bmm(of_made, values[own, met].transpose(1, 2))
            of_scores = torch.ops.aten._softmax_backward_data(
                of_probabilities, probabilities, -1, probabilities.dtype
            )
            block_queries = queries[row, :, :, rows].reshape(len(probabilities), -1, size)
            of_keys[own, met].baddbmm_(of_scores.transpose(1, 2), block_queries)
            made = torch.bmm(of_scores, keys[own, met])
            of_queries[row, :, :, rows] = made.view(-1, *groups, block.end - block.start, size)
        of_query = of_queries.flatten(1, 2).to(ctx.dtypes[0]) * ctx.scaling
        of_key = of_keys.view(batch, -1, length, size).to(ctx.dtypes[1])
        of_value = of_values.view(batch, -1, length, size).to(ctx.dtypes[2])
        return of_query, of_key, of_value, None, None, None, None


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers' attention functions do, of which this is one.

    Returns (B, T, H, D) for query (B, H, T, D), key and value (B, K, T, D). A causal module without
    dropout attends in blocks if it has no mask, or one of documents; all else is computed as a
    whole. A mask of documents is boolean, as `blocked_mask` makes it: true where a key is seen.
    """
    scaling = float(query.shape[-1] ** -0.5) if scaling is None else scaling
    of_documents = attention_mask is not None and attention_mask.dtype == torch.bool
    hidden = ~attention_mask if attention_mask is not None and of_documents else None
    if module.is_causal and dropout == 0 and (attention_mask is None or of_documents):
        documents = documents_of(attention_mask, sliding_window)
        made: Any = _BlockedAttention.apply(
            query, key, value, scaling, sliding_window, hidden, documents
        )
        return made, None
    if attention_mask is None and module.is_causal:
        whole = Block(0, query.shape[2], 0)
        attention_mask = _bias(whole, sliding_window, query.dtype)
    repeats = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(repeats, 1) if repeats > 1 else x for x in (key, value))
    scores = query @ key.transpose(2, 3) * scaling
    if hidden is not None:
        scores = scores.masked_fill(hidden, float("-inf"))
    elif attention_mask is not None:
        scores = scores + attention_mask
    probabilities = torch.softmax(scores, -1, dtype=torch.float32).to(query.dtype)
    probabilities = F.dropout(probabilities, dropout, module.training)
    return (probabilities @ value).transpose(1, 2).contiguous(), None


def blocked_mask(q_length: int, kv_length: int, **options: Any) -> Tensor | None:
    """Return no mask where it is plainly causal, over one stretch without padding; else eager's.

    One stretch of several documents, each of which sees itself alone, gets a boolean mask.
    """
    offsets = [options.get("q_offset", 0), options.get("kv_offset", 0)]
    is_whole = q_length == kv_length and all(type(x) is int and x == 0 for x in offsets)
    if options.get("attention_mask") is None and is_whole:
        if options.get("allow_is_causal_skip"):
            return None
        if "allow_is_bidirectional_skip" not in options:  # causal, with positions that begin again
            mask = sdpa_mask(q_length=q_length, kv_length=kv_length, **options)
            if mask is not None and not torch.compiler.is_compiling():
                note_documents(mask, options.get("local_size"))
            return mask
    return eager_mask(q_length=q_length, kv_length=kv_length, **options)


AttentionInterface.register(BLOCKED, attend)
AttentionMaskInterface.register(BLOCKED, blocked_mask)


def attention() -> str:
    """Return transformers' attention for this device.

    CPU seconds of a training step against "eager", one thread, bfloat16, 10 M parameters with a
    vocabulary of 8,192: "blocked" 1.08 times fewer at 256 tokens, 1.01 to 1.04 at 128; "sdpa" 1.1
    times more. The attention alone: 1.4 to 1.7 times fewer at 256, 1.2 to 1.7 at 128.
    """
    return "sdpa" if torch.cuda.is_available() else BLOCKED


def experts() -> str:
    """Return transformers' way through a mixture: on a CPU one expert after the other is faster.

    A training step took 1.3 times as long with grouped products as with the loop.
    """
    return "grouped_mm" if torch.cuda.is_available() else "eager"
