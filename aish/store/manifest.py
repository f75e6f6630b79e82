"""What is kept about a model: an OCI manifest with ModelPack's media types, and its configuration. Pure.

The manifest is made from its content alone, without time or place, so that the same weights with the same parameters
are the same version. What ModelPack's schema has no field for is in annotations that begin with `aish.`.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aish.errors import StorageError
from aish.store.gguf import possible_context

if TYPE_CHECKING:
    from typing import Self

    from aish.store.gguf import Header

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT: Final = "application/vnd.cncf.model.manifest.v1+json"
CONFIG: Final = "application/vnd.cncf.model.config.v1+json"
WEIGHTS: Final = "application/vnd.cncf.model.weight.v1.raw"

_FILEPATH: Final = "org.cncf.model.filepath"
_SOURCE: Final = "aish.source"
_CONTEXT: Final = "aish.context-tokens"
_TEMPLATE: Final = "aish.chat-template"
_OPTIONS: Final = "aish.options"


class Blob(NamedTuple):
    """`digest` is the hexadecimal sha256."""

    digest: str
    size_bytes: int

    def descriptor(self, media_type: str, **annotations: str) -> dict[str, Any]:
        entry: dict[str, Any] = {"mediaType": media_type, "digest": f"sha256:{self.digest}", "size": self.size_bytes}
        if annotations:
            entry["annotations"] = annotations
        return entry

    @classmethod
    def of(cls, data: bytes) -> Self:
        return cls(hashlib.sha256(data).hexdigest(), len(data))

    @classmethod
    def from_descriptor(cls, entry: dict[str, Any]) -> Self:
        digest = str(entry["digest"])
        if not digest.startswith("sha256:") or len(digest) != 71:
            raise ValueError(f"digest {digest!r}")
        return cls(digest.removeprefix("sha256:"), int(entry["size"]))


class About(NamedTuple):
    """`source` is a package URL (pkg:pypi/…, pkg:huggingface/…) or file:…; None where unknown."""

    name: str
    format: str
    filename: str
    architecture: str | None = None
    context_tokens: int | None = None
    parameters: int | None = None
    quantization: str | None = None
    chat_template: str | None = None
    """The sha256 of the template; None where there is none: a base model, or one for embeddings."""
    embeds_only: bool = False
    licence: str | None = None
    source: str | None = None
    options: dict[str, str] = {}


def about_gguf(header: Header, name: str, filename: str, source: str, **more: Any) -> About:
    """What a GGUF file tells of itself; `more` sets fields that it does not tell."""
    template = header.chat_template
    fields: dict[str, Any] = {
        "architecture": header.architecture,
        "context_tokens": header.context_tokens,
        "parameters": header.parameters,
        "quantization": header.quantization,
        "chat_template": None if template is None else hashlib.sha256(template.encode()).hexdigest(),
        "embeds_only": header.embeds,
        "licence": header.text("general.license"),
    }
    fields |= {key: value for key, value in more.items() if value is not None}
    return About(name=name, format="gguf", filename=filename, source=source, **fields)


def config_of(about: About, weights: Blob) -> bytes:
    descriptor: dict[str, Any] = {"name": about.name}
    if about.licence:
        descriptor["licenses"] = [about.licence]
    if about.source:
        descriptor["sourceURL"] = about.source
    config: dict[str, Any] = {"format": about.format}
    for key, value in (
        ("architecture", about.architecture),
        ("paramSize", None if about.parameters is None else str(about.parameters)),
        ("quantization", about.quantization),
    ):
        if value:
            config[key] = value
    outputs = ["embedding"] if about.embeds_only else ["text"]
    config["capabilities"] = {"inputTypes": ["text"], "outputTypes": outputs}
    modelfs = {"type": "layers", "diffIds": [f"sha256:{weights.digest}"]}
    return encode({"descriptor": descriptor, "config": config, "modelfs": modelfs})


def manifest_of(about: About, config: Blob, weights: Blob) -> bytes:
    annotations = {_OPTIONS: encode(about.options).decode()}
    for key, value in (
        (_SOURCE, about.source),
        (_CONTEXT, None if about.context_tokens is None else str(about.context_tokens)),
        (_TEMPLATE, about.chat_template and f"sha256:{about.chat_template}"),
    ):
        if value:
            annotations[key] = value
    return encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": ARTIFACT,
            "config": config.descriptor(CONFIG),
            "layers": [weights.descriptor(WEIGHTS, **{_FILEPATH: about.filename})],
            "annotations": annotations,
        }
    )


class Manifest(NamedTuple):
    about: About
    config: Blob
    weights: Blob


def blobs_of(data: bytes) -> tuple[Blob, Blob]:
    """The configuration and the weights that a manifest names. Raises StorageError where it is damaged."""
    try:
        manifest = json.loads(data)
        return Blob.from_descriptor(manifest["config"]), Blob.from_descriptor(manifest["layers"][0])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise _damaged(error) from error


def decode(data: bytes, config_data: bytes) -> Manifest:
    """Raises StorageError where either is damaged."""
    config, weights = blobs_of(data)
    try:
        manifest, told = json.loads(data), json.loads(config_data)
        notes = manifest.get("annotations", {})
        template = notes.get(_TEMPLATE)
        about = About(
            name=told["descriptor"]["name"],
            format=told["config"]["format"],
            filename=manifest["layers"][0].get("annotations", {}).get(_FILEPATH, "weights"),
            architecture=told["config"].get("architecture"),
            context_tokens=possible_context(int(notes[_CONTEXT])) if _CONTEXT in notes else None,
            parameters=int(told["config"]["paramSize"]) if "paramSize" in told["config"] else None,
            quantization=told["config"].get("quantization"),
            chat_template=template and template.removeprefix("sha256:"),
            embeds_only=told["config"]["capabilities"]["outputTypes"] == ["embedding"],
            licence=(told["descriptor"].get("licenses") or [None])[0],
            source=notes.get(_SOURCE),
            options={str(key): str(value) for key, value in json.loads(notes.get(_OPTIONS, "{}")).items()},
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(error) from error
    return Manifest(about, config, weights)


def encode(value: object) -> bytes:
    """Always the same bytes for the same value: the digest depends on it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _damaged(error: Exception) -> StorageError:
    return StorageError(
        f"a manifest in the model store is damaged: {error!r}", hint="`aish model rm` the model and pull it again"
    )
