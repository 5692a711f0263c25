"""An open-loop client: requests come when they come, whether or not the server keeps up."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import httpx
import numpy as np

NUM_IN, NUM_OUT = 128, 64  # tokens of a prompt, and of an answer


class Answered(NamedTuple):
    """One request, seconds since it should have been sent."""

    first: float
    """Until the first token."""
    last: float
    """Until the last one."""
    num_pieces: int
    """Pieces of text that came."""


class Prompts:
    """Random tokens, no prompt like another, so that no cache helps."""

    def __init__(self, vocab_size: int, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._most = vocab_size

    def next(self) -> list[int]:
        return self._random.integers(100, self._most, size=NUM_IN).tolist()


async def ask(client: httpx.AsyncClient, prompt: list[int], due: float) -> Answered:
    """Ask for an answer and read its stream."""
    body = {
        "prompt": prompt,
        "max_tokens": NUM_OUT,
        "temperature": 0,
        "stream": True,
        "ignore_eos": True,
        "cache_prompt": False,
    }
    first, pieces = 0.0, 0
    async with client.stream("POST", "/v1/completions", json=body) as reply:
        reply.raise_for_status()
        async for line in reply.aiter_lines():
            if not line.startswith("data: {"):
                continue
            choices = json.loads(line[6:])["choices"]
            if choices and pieces == 0:
                first = time.perf_counter()
            pieces += bool(choices)
    return Answered(first - due, time.perf_counter() - due, pieces)


async def at_fixed_times(url: str, prompts: Prompts, rate: float, number: int) -> list[Answered]:
    """Send `rate` requests a second, none waiting for another."""

    async def one(client: httpx.AsyncClient, due: float) -> Answered:
        await asyncio.sleep(due - time.perf_counter())
        return await ask(client, prompts.next(), due)

    async def all_of(client: httpx.AsyncClient) -> list[Answered]:
        start = time.perf_counter() + 0.2
        dues = [start + place / rate for place in range(number)]
        return await asyncio.gather(*(one(client, due) for due in dues))

    return await _with_client(url, all_of)


async def side_by_side(url: str, prompts: Prompts, at_once: int, number: int) -> float:
    """Return the output tokens a second of `at_once` clients that ask again when answered."""
    left = iter(range(number))

    async def one(client: httpx.AsyncClient) -> None:
        for _ in left:
            await ask(client, prompts.next(), time.perf_counter())

    async def all_of(client: httpx.AsyncClient) -> float:
        start = time.perf_counter()
        await asyncio.gather(*(one(client) for _ in range(at_once)))
        return number * NUM_OUT / (time.perf_counter() - start)

    return await _with_client(url, all_of)


async def _with_client(url: str, work: "Callable[[httpx.AsyncClient], Awaitable]"):
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=300, limits=limits) as client:
        return await work(client)


def main() -> None:
    """Measure a server once: `python -m tests.benchmarks.load URL VOCABULARY RATE NUMBER SEED`."""
    url, vocabulary, rate, number, seed = sys.argv[1:]
    prompts = Prompts(int(vocabulary), int(seed))

    async def measured() -> dict[str, float]:
        for _ in range(2):  # the first answers warm it up
            await side_by_side(url, prompts, 2, 2)
        timed = await at_fixed_times(url, prompts, float(rate), int(number))
        firsts = [each.first for each in timed]
        tokens = await side_by_side(url, prompts, 8, max(16, int(number) // 2))
        alone = await side_by_side(url, prompts, 1, 4)
        return {
            "first_p50": float(np.percentile(firsts, 50)),
            "first_p95": float(np.percentile(firsts, 95)),
            "tokens_at_8": tokens,
            "tokens_at_1": alone,
        }

    sys.stdout.write(json.dumps(asyncio.run(measured())))


if __name__ == "__main__":
    main()
