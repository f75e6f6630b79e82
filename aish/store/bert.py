"""A BERT sentence encoder in Hugging Face's layout, as the GGUF that llama.cpp runs.

Input is what a snapshot of such a model holds: config.json, tokenizer.json (WordPiece) and model.safetensors. The
names of keys and tensors are llama.cpp's for the architecture "bert". Matrices become 16-bit floats, the rest stays
32-bit.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, Final

from aish.errors import InputError
from aish.store import gguf_write
from aish.store.gguf_write import F16, F32, Tensor, Value

if TYPE_CHECKING:
    from typing import BinaryIO

_WORD_START: Final = "\u2581"
"""llama.cpp marks where a word begins; WordPiece marks where one goes on (##)."""
_NORMAL: Final = 1
_CONTROL: Final = 3
_MEAN: Final = 1
_FILE_TYPE_F16: Final = 1

_OUTSIDE: Final = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.LayerNorm.weight": "token_embd_norm.weight",
    "embeddings.LayerNorm.bias": "token_embd_norm.bias",
}
_IN_LAYER: Final = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_HALVED: Final = ("token_embd.weight", "attn_q", "attn_k", "attn_v", "attn_output.", "ffn_up", "ffn_down")


def convert(config: bytes, tokenizer: bytes, weights: bytes, name: str, licence: str, out: BinaryIO) -> None:
    """Write the GGUF to `out`. Raises InputError where the snapshot is not such a model."""
    try:
        shape: dict[str, Any] = json.loads(config)
        words: dict[str, Any] = json.loads(tokenizer)
        metadata = _metadata(shape, words, name, licence)
        tensors = _tensors(weights, int(shape["num_hidden_layers"]))
    except (KeyError, TypeError, ValueError, struct.error) as error:
        raise InputError(f"not a BERT encoder as it was expected: {error!r}", field="snapshot") from error
    gguf_write.write(out, metadata, tensors)


def _metadata(shape: dict[str, Any], words: dict[str, Any], name: str, licence: str) -> dict[str, Value]:
    vocabulary: dict[str, int] = words["model"]["vocab"]
    pieces = sorted(vocabulary, key=vocabulary.__getitem__)
    special = {token["content"]: int(token["id"]) for token in words["added_tokens"] if token["special"]}
    return {
        "general.architecture": "bert",
        "general.name": name,
        "general.license": licence,
        "general.file_type": _FILE_TYPE_F16,
        "bert.block_count": int(shape["num_hidden_layers"]),
        "bert.context_length": int(shape["max_position_embeddings"]),
        "bert.embedding_length": int(shape["hidden_size"]),
        "bert.feed_forward_length": int(shape["intermediate_size"]),
        "bert.attention.head_count": int(shape["num_attention_heads"]),
        "bert.attention.layer_norm_epsilon": float(shape["layer_norm_eps"]),
        "bert.attention.causal": False,
        "bert.pooling_type": _MEAN,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.token_type_count": int(shape["type_vocab_size"]),
        "tokenizer.ggml.tokens": [_piece(piece, special) for piece in pieces],
        "tokenizer.ggml.token_type": [_CONTROL if piece in special else _NORMAL for piece in pieces],
        "tokenizer.ggml.bos_token_id": special["[CLS]"],
        "tokenizer.ggml.seperator_token_id": special["[SEP]"],  # spelt so in the format
        "tokenizer.ggml.cls_token_id": special["[CLS]"],
        "tokenizer.ggml.unknown_token_id": special["[UNK]"],
        "tokenizer.ggml.padding_token_id": special["[PAD]"],
        "tokenizer.ggml.mask_token_id": special["[MASK]"],
    }


def _piece(piece: str, special: dict[str, int]) -> str:
    if piece in special:
        return piece
    return piece[2:] if piece.startswith("##") else _WORD_START + piece


def _tensors(weights: bytes, layers: int) -> list[Tensor]:
    """All tensors that an embedding needs, in a fixed order; the pooler of next-sentence training is left out."""
    (length,) = struct.unpack_from("<Q", weights)
    header: dict[str, Any] = json.loads(weights[8 : 8 + length])
    data = memoryview(weights)[8 + length :]
    names = dict(_OUTSIDE)
    for layer in range(layers):
        for theirs, ours in _IN_LAYER.items():
            for part in ("weight", "bias"):
                names[f"encoder.layer.{layer}.{theirs}.{part}"] = f"blk.{layer}.{ours}.{part}"
    return [_tensor(ours, header[theirs], data) for theirs, ours in names.items()]


def _tensor(name: str, entry: dict[str, Any], data: memoryview) -> Tensor:
    import numpy as np

    if entry["dtype"] != "F32":
        raise ValueError(f"{name} is {entry['dtype']}, not F32")
    begin, end = entry["data_offsets"]
    values = np.frombuffer(data[begin:end], dtype="<f4").reshape(entry["shape"])
    halved = values.ndim == 2 and any(word in name for word in _HALVED)
    if halved:
        values = values.astype("<f2")
    return Tensor(name, tuple(entry["shape"]), F16 if halved else F32, values.tobytes())
