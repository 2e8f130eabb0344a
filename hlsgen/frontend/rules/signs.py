# SPDX-License-Identifier: Apache-2.0
"""Signs in the neighbourhood of a refused call by which `architecture.py` recognises what it is part of."""

from __future__ import annotations

import torch

from hlsgen.frontend.read.export import Call, uses
from hlsgen.frontend.rules.site import ATTENTION, Site, differs_by_token, short

NORMS = frozenset(
    ["layer_norm", "rms_norm", "_fused_rms_norm", "norm", "linalg_vector_norm", "normalize", "unit_norm"]
)
CONVOLUTIONS = frozenset(["conv1d", "conv2d", "conv3d", "_convolution", "convolution"])
PRODUCTS = frozenset(["matmul", "bmm", "mm", "einsum", "baddbmm"])
UP = frozenset(
    ["upsample_bilinear2d", "upsample_nearest2d", "upsample_bicubic2d", "pixel_shuffle", "conv_transpose2d"]
)
POOLS = frozenset(
    ["max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "avg_pool1d", "max_pool2d_with_indices", "amax"]
)
PICKS = frozenset(
    [
        "index",
        "gather",
        "topk",
        "sort",
        "argsort",
        "masked_select",
        "nonzero",
        "index_put",
        "scatter",
        "max",
        "min",
    ]
)
RANDOM = ("rand", "bernoulli", "multinomial", "normal", "uniform", "rrelu")
"""How the names of operators begin that draw numbers."""
ENDS = frozenset(["softmax", "_softmax", "log_softmax", "argmax", "max", "sigmoid", "topk"])
ROTATES = frozenset(["view_as_complex", "view_as_real", "polar", "complex", "neg"])
_SPREADS = frozenset(["std", "var", "var_mean", "std_mean"])
ORDER = "the elements do not lie in token order"
ADDED = "added to attention scores"


def bias(site: Site) -> bool:
    """A constant is added to scores."""
    if site.op == "scaled_dot_product_attention":
        mask = site.argument(3, "attn_mask")
        return hasattr(mask, "dtype") and mask.dtype.is_floating_point if mask is not None else False
    return ADDED in site.what or (
        site.op == "add" and site.to_attention and bool(site.constants) and len(site.shape) >= 3
    )


def masked(site: Site) -> bool:
    """A mask hides something."""
    hides = "mask" in site.what or "takes the place of attention scores" in site.what
    return hides and (site.attention or site.op in ("masked_fill", "where"))


def rotary(site: Site) -> bool:
    """Queries or keys are turned."""
    turned = bool(ROTATES & (site.names(back=True) | {site.op})) or "rot" in site.modules
    if not site.to_attention or site.op in ("softmax", "add_scores"):
        return False
    around = [x for x in site.constants if x.is_floating_point()]
    by_token = any(differs_by_token(x) and bool((x.abs() <= 1).all()) for x in around)
    return turned or (site.op in ("mul", "add", "cat", "stack") and by_token)


def heads_norm(site: Site) -> bool:
    """Queries or keys are normalised."""
    normal = site.op in NORMS or bool(NORMS & set(list(site.names(back=True))[:8]))
    return site.to_attention and normal and site.op not in ("softmax", "scaled_dot_product_attention")


def temperature(site: Site) -> bool:
    """Scores have a factor for each head."""
    products = [call for call in (site.call, *site.walked(back=True)) if short(call) in ("mul", "div")]
    factors = [site.values.get(name) for call in products for name in uses(call)]
    each = [x for x in factors if isinstance(x, torch.Tensor) and x.dim() >= 3 and x.numel() > 1]
    return site.attention and any(x.shape[-2:] == (1, 1) for x in each)


def channels(site: Site) -> bool:
    """Scores are products of channels: the left factor of a product before softmax is transposed."""
    behind = order(site) or site.op in ATTENTION
    calls = (site.call, *(site.walked(back=True) if behind else ()))
    products = [call for call in calls if short(call) in PRODUCTS and call.args]
    makers = [site.neighbours.makers.get(getattr(call.args[0], "name", "")) for call in products]
    return site.attention and any(maker is not None and _turned(maker) for maker in makers)


def _turned(call: Call) -> bool:
    """Whether a call exchanges the last two axes."""
    if ".transpose." not in call.target or call.shape is None:
        return False
    rank = len(call.shape)
    return {axis % rank for axis in call.args[1:3] if isinstance(axis, int)} == {rank - 2, rank - 1}


def linear_attention(site: Site) -> bool:
    """A product of two activations without a softmax near it."""
    return site.op in PRODUCTS and len(site.computed) == 2 and not site.attention


def reduction(site: Site) -> bool:
    """A convolution or pooling in front of attention, inside a block."""
    behind = site.names(back=False, layers=True)
    attends = bool({"scaled_dot_product_attention", "softmax"} & behind)
    conv = site.op in CONVOLUTIONS | POOLS and not site.before_blocks
    return conv and attends and ("attention" in site.modules or ".attn" in site.modules)


def cross(site: Site) -> bool:
    """A factor of attention is a constant."""
    if site.op not in PRODUCTS | {"scaled_dot_product_attention"} or not site.attention:
        return False
    return bool(site.constants) or "must be computed" in site.what


def product(site: Site) -> bool:
    """Two activations are multiplied or divided."""
    return site.op in ("mul", "div") and len(site.computed) == 2


def gated(site: Site) -> bool:
    """Both factors have one shape."""
    first, second = (x.shape for x in site.computed[:2])
    return first == second and not site.attention


def stem(site: Site) -> bool:
    """A convolution before the first block."""
    return site.op in CONVOLUTIONS and site.before_blocks


def grouped(site: Site) -> bool:
    """A convolution of channels apart."""
    return site.op in CONVOLUTIONS and ("groups" in site.what or "depthwise" in site.modules)


def norm(site: Site) -> bool:
    """Tokens are normalised, perhaps by a norm that is written out."""
    if "norm" in site.op:
        return "over" in site.what or "not supported" in site.what
    if site.op == "sub":
        makers = [site.neighbours.makers.get(name) for name in uses(site.call)]
        return any(maker is not None and short(maker) == "mean" for maker in makers)
    return site.op in _SPREADS or (site.op in ("div", "mul") and bool(_SPREADS & site.names(back=True)))


def order(site: Site) -> bool:
    """The layout of tokens is wrong."""
    return site.what.startswith(ORDER) or "cut or reordered" in site.what
