"""Azure's paths for OpenAI's dialect: below /openai, and at a deployment, whose name is the model's. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aish.supervisor.gateway.dialects import openai
from aish.supervisor.gateway.dialects.call import checked_name
from aish.supervisor.gateway.dialects.unchanged import Unchanged

if TYPE_CHECKING:
    from aish.supervisor.gateway.dialects.call import Call

PREFIX: Final = "/openai"
_DEPLOYED: Final = re.compile(f"/deployments/(.+?)({openai.CHAT}|{openai.COMPLETIONS}|{openai.EMBEDDINGS})")


class Deployment(Unchanged):
    """A Dialect. The model is in the path, whatever the body says, so there is one for each request."""

    def __init__(self, model: str, endpoint: str) -> None:
        self._model, self.endpoint = model, endpoint

    def parse(self, path: str, body: bytes) -> Call:
        return super().parse(path, body).renamed(checked_name(self._model))


def below(path: str) -> str:
    """The path that follows /openai; any other as it is."""
    return path.removeprefix(PREFIX) if path.startswith(PREFIX + "/") else path


def deployed(path: str) -> Deployment | None:
    """For a path such as /deployments/NAME/chat/completions; None: it is no such path."""
    found = _DEPLOYED.fullmatch(path)
    return None if found is None else Deployment(found[1], found[2])
