"""Tiny models with random weights that answer at once, and a live server over them."""

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import torch
from openai import OpenAI
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from components.compress.export import export_int8
from components.core.record import RECORD, Record, hash_files, write_record
from components.core.settings import settings
from components.lib.models.build import SpecialIds, build_model
from components.lib.models.shape import Shape
from components.lib.text.chat import END_OF_TEXT, PADDING, SPECIAL_TOKENS, TEMPLATE
from components.release.registry import Registered, register
from infra.serving.answer_log import Consent
from infra.serving.found import wish
from infra.serving.keys import Keys
from infra.serving.models import Models
from infra.serving.options import Limits
from infra.serving.running import server
from infra.serving.service import Service
from infra.serving.shares import Share

TOOLS = "{% if tools %}{{ tools | tojson }}{% endif %}"
CONTEXT = 4096


def parrot(folder: Path, seed: int) -> Path:
    """Write a model of bytes in Hugging Face layout with its export, as releases have them."""
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(folder)
    shape = Shape(width=64, num_layers=2, num_heads=4, num_key_value_heads=2, max_length=CONTEXT)
    model = build_model(shape, len(tokenizer), SpecialIds.of(tokenizer), seed)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for each in model.parameters():
            if each.ndim > 1:
                each.normal_(0, 0.3, generator=random)
    model.save_pretrained(folder)
    export_int8(folder, folder / "onnx")
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    made = Tokenizer(BPE(vocabulary, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(list(SPECIAL_TOKENS))
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token=END_OF_TEXT,
        pad_token=PADDING,
        chat_template=TOOLS + TEMPLATE,
    )


def released(name: str, folder: Path) -> Registered:
    """Register a model as the pipeline does, with a record of its files."""
    out = settings().artifacts / "release.register" / "1.0.0" / f"{folder.name:0>16}"
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        out.symlink_to(folder, target_is_directory=True)
    return register(name, out, {"path": out.relative_to(settings().artifacts).as_posix()})


def record(folder: Path) -> None:
    """Write the record that proves the files of a folder."""
    write_record(
        Record(
            component="release.register",
            version="1.0.0",
            fingerprint=folder.name,
            config={},
            inputs={},
            artifact={},
            files=hash_files(folder),
            seed=None,
            seconds=1.0,
            packages={},
            git_revision=None,
            data_revision=None,
            mlflow_run_id=None,
        ),
        folder,
    )
    assert (folder / RECORD).exists()


class Live(NamedTuple):
    """A server at work."""

    url: str
    service: Service

    def openai(self, key: str = "none") -> OpenAI:
        """Return OpenAI's own client, which does not try again."""
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=60)

    def post(self, path: str, **given: Any) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", timeout=60, **given)

    def running(self) -> int:
        return sum(model.engine.load().running for model in self.service.models.loaded())

    def metric(self, name: str, **labels: str) -> float:
        """Return a number of `/metrics`, summed over what has these labels."""
        found = 0.0
        for line in httpx.get(f"{self.url}/metrics").text.splitlines():
            named, _, value = line.rpartition(" ")
            if named.partition("{")[0] == name and all(
                f'{key}="{label}"' in named for key, label in labels.items()
            ):
                found += float(value)
        return found


@contextmanager
def serving(
    *models: str,
    limits: Limits | None = None,
    keys: dict[str, str] | None = None,
    shares: Sequence[Share] = (),
    consent: Consent = "none",
) -> Iterator[Live]:
    """Serve models in this process, as the command does in one of its own."""
    limits = limits or Limits(poll_seconds=0.05)
    beside = [wish(each.served) for each in shares]
    served = Models([wish(each) for each in models], limits, beside)
    served.load()
    service = Service(served, limits, Keys(keys or {}), shares, consent)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    running = server(service, "127.0.0.1", port)
    thread = threading.Thread(target=running.run, args=([listening],), daemon=True)
    thread.start()
    try:
        until(lambda: running.started)
        yield Live(f"http://127.0.0.1:{port}", service)
    finally:
        running.should_exit = running.force_exit = True
        thread.join(30)
        service.close()


def until(is_so: Any, seconds: float = 60) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it never was so"
        time.sleep(0.01)


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """Return the chunks of a stream."""
    rows = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    assert rows[-1] == "[DONE]"
    return [json.loads(row) for row in rows[:-1]]
