"""What a server is told when it starts: limits on length, time and numbers."""

from pydantic import Field

from components.core.artifacts.base import Frozen


class Limits(Frozen):
    """What one request may cost, and how many may wait."""

    num_slots: int = Field(default=8, ge=1, le=256)
    """Requests that a model works on at once."""
    max_waiting: int = Field(default=64, ge=0)
    """Requests that wait for a slot of a model; the next is sent away with 429."""
    max_requests: int = Field(default=512, ge=1)
    """Requests that the server reads or answers at once, over all models."""
    max_body_bytes: int = Field(default=2 << 20, ge=1024)
    """Size of a request, bytes."""
    body_seconds: float = Field(default=20, gt=0)
    """In which a request must have come whole."""
    idle_seconds: float = Field(default=15, gt=0)
    """After which a connection that asks for nothing is closed."""
    answer_seconds: float = Field(default=300, gt=0)
    """In which an answer must be complete, waiting and a slow reader included."""
    max_new_tokens: int = Field(default=4096, ge=1)
    """Tokens of an answer, at most, whatever is asked for."""
    default_new_tokens: int = Field(default=256, ge=1)
    """Tokens of an answer where none are asked for."""
    max_choices: int = Field(default=8, ge=1)
    """Answers that one request may ask for, `n` times the prompts."""
    cache_bytes: int = Field(default=2 << 30, ge=1 << 20)
    """Memory for the keys and values of a model when all its slots are full, bytes."""
    chunk: int = Field(default=128, ge=1)
    """Tokens of prompts that are read between two steps of the answers beside them."""
    poll_seconds: float = Field(default=2.0, gt=0)
    """How often MLflow is asked where the aliases stand."""
