"""Why a request is not answered, as OpenAI's clients read it."""

from typing import Any

from starlette.responses import JSONResponse


class Refusal(Exception):
    """A request that is not answered, and what to do about it."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        """Say it in one sentence; `retry_after` is in seconds."""
        super().__init__(message)
        self.status, self.code, self.param = status, code, param
        self.retry_after = retry_after

    def body(self) -> dict[str, Any]:
        """Return the error in OpenAI's form."""
        kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status)
        if kind is None:
            kind = "invalid_request_error" if self.status < 500 else "server_error"
        error = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        return {"error": error}

    def response(self) -> JSONResponse:
        """Return the answer that says so."""
        headers: dict[str, str] = {}
        if self.retry_after is not None:
            headers["retry-after"] = str(self.retry_after)
        if self.status in (408, 413):  # what is left of the body is not read
            headers["connection"] = "close"
        return JSONResponse(self.body(), self.status, headers)
