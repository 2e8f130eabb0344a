# SPDX-License-Identifier: Apache-2.0
"""Small sizes for the arguments that libraries share: a table from an argument's name to its value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WIDTH, HEADS, HIDDEN, BLOCKS = 32, 2, 48, 2

_WIDTHS = """hidden_size embed_dim d_model embedding_dim vision_hidden_size projection_dim dim width
encoder_hidden_size decoder_hidden_size hidden_dim decoder_embed_dim output_dim fusion_hidden_size
reassemble_hidden_size head_hidden_size out_hidden_size vision_feature_dim mask_feature_size feature_size
encoder_hidden_dim tokenizer_dim hidden_channels d_latents"""
_HEADS = """num_attention_heads num_heads encoder_attention_heads decoder_attention_heads heads
decoder_num_attention_heads num_cross_attention_heads num_self_attention_heads num_key_value_heads"""
_HIDDEN = """intermediate_size encoder_ffn_dim decoder_ffn_dim mlp_dim dim_feedforward
decoder_intermediate_size encoder_feedforward_dim ffn_dim"""
_BLOCKS = """num_hidden_layers depth encoder_layers decoder_layers num_layers num_encoder_layers
decoder_num_hidden_layers num_blocks num_self_attends_per_block layers"""
TABLE: dict[str, Any] = {
    **dict.fromkeys(_WIDTHS.split(), WIDTH),
    **dict.fromkeys(_HEADS.split(), HEADS),
    **dict.fromkeys(_HIDDEN.split(), HIDDEN),
    **dict.fromkeys(_BLOCKS.split(), BLOCKS),
    "num_labels": 5,
    "num_classes": 5,
    "vocab_size": 64,
    "num_queries": 4,
    "num_latents": 8,
    "max_position_embeddings": 64,
    "head_dim": WIDTH // HEADS,
    "attention_head_dim": WIDTH // HEADS,
}
"""Integers by their name. Lists keep their length: widths double from 16, the rest is made of ones."""
_LISTS = {
    "depths": lambda count: [1] * count,
    "num_blocks": lambda count: [1] * count,
    "layers": lambda count: [1] * count,
    "hidden_sizes": lambda count: [16 * 2**i for i in range(count)],
    "embed_dims": lambda count: [16 * 2**i for i in range(count)],
    "embed_dim": lambda count: [16 * 2**i for i in range(count)],
    "dims": lambda count: [16 * 2**i for i in range(count)],
    "encoder_hidden_sizes": lambda count: [16 * 2**i for i in range(count)],
    "neck_hidden_sizes": lambda count: [16 * 2**i for i in range(count)],
    "num_heads": lambda count: [2] * count,
    "num_attention_heads": lambda count: [2] * count,
    "depth": lambda count: [1] * count,
}


def shrunk(arguments: Mapping[str, Any], **fixed: Any) -> dict[str, Any]:
    """The same arguments with small sizes; `fixed` replaces those that are there."""
    found: dict[str, Any] = {}
    for name, value in arguments.items():
        if name in fixed:
            found[name] = fixed[name]
        elif isinstance(value, bool):
            found[name] = value
        elif isinstance(value, int) and name in TABLE:
            found[name] = min(value, TABLE[name])
        elif isinstance(value, list | tuple) and name in _LISTS and all(isinstance(v, int) for v in value):
            found[name] = type(value)(_LISTS[name](len(value)))
        else:
            found[name] = value
    return found
