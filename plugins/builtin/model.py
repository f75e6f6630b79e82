"""The model of an agent: asked at the gateway in OpenAI's dialect; its failures in aish's words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import httpx2
import openai
from pydantic_ai import exceptions
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

from aish.agents import failure
from aish.agents.runner import cut_off
from aish.agents.upstream import budget_of
from aish.errors import AishError, LimitError, UnavailableError, UpstreamError
from aish.plugins.builtin.transport import Transport

if TYPE_CHECKING:
    from aish.agents.upstream import Budget
    from aish.spi.agent_adapter import Host

CONNECT_S: Final = 10.0
_AGAIN: Final = "ask again; `aish doctor` tells the gateway's state, `aish logs gateway` its last words"
_RENAMED: Final = {"stop": "stop_sequences"}
"""Settings that the library calls otherwise."""


class AskedModel:
    """`chat` is the library's model. `budget`: what made the latest answer shorter than it would have been. `host`
    hears of pauses before it is asked again."""

    def __init__(self, name: str, host: Host) -> None:
        self.name = name
        self.budget: Budget | None = None
        # A request that the gateway holds may wait for hours; and the gateway is on this machine: no proxy.
        self._http = httpx2.AsyncClient(
            timeout=httpx2.Timeout(None, connect=CONNECT_S),
            trust_env=False,
            transport=Transport(host.progress, host.activity),
            event_hooks={"response": [self._heard]},
        )
        client = openai.AsyncOpenAI(
            base_url=host.gateway.base_url, api_key=host.gateway.key, http_client=self._http, max_retries=0
        )
        self.chat = OpenAIChatModel(name, provider=OpenAICompatibleProvider("aish", openai_client=client))

    async def close(self) -> None:
        await self._http.aclose()

    async def _heard(self, response: Any) -> None:
        self.budget = budget_of(response.headers)

    def check_end(self, finish: str | None) -> str | None:
        """What to tell a person of an answer that was cut. Raises LimitError where a budget cut it: half an answer
        must not look like a whole one."""
        if finish == "length" and self.budget is not None:
            raise cut_off(self.budget)
        if finish == "length":
            return "the answer was cut off: max_output_tokens or the context is full"
        return "the provider's content filter ended the answer" if finish == "content_filter" else None


def settings(given: dict[str, Any]) -> dict[str, Any]:
    found = {_RENAMED.get(name, name): value for name, value in given.items()}
    if "stop_sequences" in found:
        found["stop_sequences"] = list(found["stop_sequences"])
    return found


def failed(error: Exception, model: AskedModel) -> AishError | None:
    """What an error of the library means; None: it is none of a model."""
    match error:
        case exceptions.ModelHTTPError():
            return _refused(error, model.name)
        case exceptions.ModelAPIError() | openai.APIConnectionError() | httpx2.HTTPError():
            cause: BaseException = error
            while cause.__cause__ is not None:
                cause = cause.__cause__
            return UnavailableError(
                f"the gateway did not answer to the end: {str(cause) or type(cause).__name__}", hint=_AGAIN
            )
        case openai.APIError():
            return UpstreamError(f"the model server broke off: {error}")
        case exceptions.IncompleteToolCall() | exceptions.OutputTokenLimitExceeded():
            if model.budget is not None:
                return cut_off(model.budget)
            return LimitError(
                "the answer was cut off before it had an end", hint="limits.max_output_tokens in its file"
            )
        case exceptions.UnexpectedModelBehavior() | exceptions.UsageLimitExceeded():
            return UpstreamError(f"the model did not answer as it was asked to: {error.message}")
        case _:
            return None


def is_cut(error: BaseException) -> bool:
    """Whether the connection to the gateway broke: not what a model server did, which the gateway tells."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, (httpx2.NetworkError, httpx2.RemoteProtocolError)):
        cause = cause.__cause__
    return cause is not None


def _refused(error: exceptions.ModelHTTPError, name: str) -> AishError:
    body = error.body
    return failure.from_response(error.status_code, json.dumps({"error": body}, default=str).encode(), name)
