# SPDX-License-Identifier: Apache-2.0
"""The names of what models are made of, and how a refused call shows which of them it is part of.

One table, most special first. A row is an architecture: its name, how it is recognised from the refused call
and its neighbourhood, what it is, why it is refused today, and what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hlsgen.errors import Problem
from hlsgen.frontend.rules.routing import THREE_WAYS
from hlsgen.frontend.rules.rule import FLOATS, NOT_FLOATS
from hlsgen.frontend.rules.signs import (
    ADDED,
    CONVOLUTIONS,
    ENDS,
    PICKS,
    POOLS,
    RANDOM,
    UP,
    bias,
    channels,
    cross,
    gated,
    grouped,
    heads_norm,
    linear_attention,
    masked,
    norm,
    order,
    product,
    reduction,
    rotary,
    stem,
    temperature,
)
from hlsgen.frontend.rules.site import Site
from hlsgen.frontend.rules.terms import Refusal

_ACTIVATIONS = "supported activations: gelu (exact and tanh), relu"


@dataclass(frozen=True)
class Architecture:
    """A row of the table. `about` says what it is, `why` what the machine lacks for it."""

    name: str
    shown_by: Callable[[Site], bool]
    about: str
    why: str
    fix: str


_ATTENTION_FIX = "attention of all tokens: scaled_dot_product_attention(q, k, v) without a mask"
_WINDOW = (
    "attention by windows is read where queries, keys and values are cut into the same windows of one size",
    "cut all three alike, as Swin does, or use global attention: one window as large as the grid of tokens",
)
_MIXTURE = (
    "tokens go to the experts that a router chooses for them",
    "the machine adds up each chosen expert's result times its gate",
    f"{THREE_WAYS} (docs/experts.md has an example)",
)
TABLE = (
    Architecture(
        "quantized weights",
        lambda site: f"must be {FLOATS}, not" in site.what,
        "a layer's weights are integers",
        NOT_FLOATS,
        "give the float model: each integer times its scale",
    ),
    Architecture(
        "attention dropout",
        lambda site: "dropout" in site.what and site.op == "scaled_dot_product_attention",
        "attention weights are dropped at random",
        "dropout is random",
        "pass dropout_p only in training",
    ),
    Architecture(
        "biased choice of experts",
        lambda site: site.op in PICKS and "biased" in site.what,
        "a bias decides which experts are chosen, and is no part of their gates",
        "the machine chooses the largest logits",
        "choose by the scores that the gates are made of; train with a loss that balances the experts",
    ),
    Architecture(
        "groups of experts",
        lambda site: "groups of experts" in site.what,
        "some groups of experts are chosen first, then experts of these groups",
        "the machine chooses among all experts, by their logits alone",
        "choose among all experts: one group, or all groups",
    ),
    Architecture(
        "mixture of experts", lambda site: "expert" in site.what or "gates are" in site.what, *_MIXTURE
    ),
    Architecture(
        "deformable attention",
        lambda site: "grid_sampl" in site.op or "deform" in site.modules,
        "values are read at places that the image decides",
        "the machine reads tokens in an order that is fixed when it is compiled",
        f"use {_ATTENTION_FIX}",
    ),
    Architecture(
        "window attention",
        lambda site: site.windows and (site.attention or order(site)) and ADDED not in site.what,
        "tokens attend to those of their own window",
        *_WINDOW,
    ),
    Architecture(
        "rotary positions",
        rotary,
        "queries and keys are turned by an angle that differs from token to token",
        "queries and keys go from a linear layer to their product; nothing multiplies them by token",
        "use positions that are added to the patch embedding",
    ),
    Architecture(
        "QK-norm",
        heads_norm,
        "queries and keys are normalised, head by head",
        "a norm works on whole tokens, or on equal parts of them, over the channels",
        "use LayerNorm, RMSNorm or normalize over the channels of a head",
    ),
    Architecture(
        "channel attention",
        channels,
        "channels attend to channels, over all tokens",
        "queries and keys must be the transpose of tokens, head by head",
        "split heads by reshape(1, tokens, heads, channels).permute(0, 2, 3, 1)",
    ),
    Architecture(
        "per-head temperature",
        temperature,
        "scores of each head have a factor of their own",
        "a factor becomes part of the query projection, so it is a constant of each head",
        "multiply the scores by one learned number for each head, [heads, 1, 1]",
    ),
    Architecture(
        "attention bias",
        bias,
        "something for each pair of tokens is added to the scores",
        "the machine adds constants to scores, and what a query has for classes of keys that are fixed",
        "add a learned bias, [heads, queries, keys], or positions in the patch embedding",
    ),
    Architecture(
        "attention mask",
        masked,
        "some tokens are hidden from others",
        "the machine hides the same keys for every image",
        "pass a mask that is a constant, boolean or with -inf; for images of one size none is needed",
    ),
    Architecture(
        "cross attention",
        cross,
        "queries come from elsewhere than keys and values: learned ones, or another stream",
        "each of queries, keys and values must be rows of tokens, or constants",
        "split heads by reshape(1, tokens, heads, channels).transpose(1, 2), of queries as of keys",
    ),
    Architecture(
        "spatial reduction",
        reduction,
        "keys and values are taken from fewer tokens than queries",
        "the machine has no convolution or pooling of tokens",
        "use a reduction of 1: keys and values of all tokens",
    ),
    Architecture(
        "class scores",
        lambda site: site.last and site.op in ENDS,
        "the last step turns logits into probabilities or a class",
        "the machine gives the logits; the largest logit is the same class",
        "return the logits, and take softmax or argmax of what `predict` returns",
    ),
    Architecture(
        "linear attention",
        linear_attention,
        "keys are multiplied by values before queries, without a softmax between",
        "both factors must be tokens or their transpose, head by head",
        "split heads by reshape(1, tokens, heads, channels).transpose(1, 2), and turn the last two axes only",
    ),
    Architecture(
        "talking heads",
        lambda site: site.attention and site.op in ("linear", "conv2d") and not order(site),
        "scores or weights of several heads are mixed",
        "heads are mixed by one matrix for all tokens, which becomes part of the projections",
        "use a linear layer over the heads axis, [.., heads], right before or behind the softmax",
    ),
    Architecture(
        "image size",
        lambda site: "must be divisible by the patch" in site.what,
        "patches do not tile the image",
        "the machine reads each pixel once, as a part of one patch",
        "take an image whose height and width are multiples of the patch's",
    ),
    Architecture(
        "decision by the image",
        lambda site: site.op in ("item", "local_scalar_dense", "cond") or "chooses elements" in site.what,
        "what the model does depends on what the image holds",
        "hardware runs one fixed program for every image",
        "compute it outside the model, or use torch.where",
    ),
    Architecture(
        "convolution stem",
        stem,
        "overlapping or several convolutions make the tokens from the image",
        "the machine reads each pixel once, as a part of one patch",
        "use one convolution whose stride is its kernel, without padding",
    ),
    Architecture(
        "depthwise convolution",
        grouped,
        "channels are convolved one by one, or in groups",
        "the machine multiplies whole tokens by matrices; it has no convolution over tokens",
        "leave it out, or use attention or a linear layer instead",
    ),
    Architecture(
        "convolution of tokens",
        lambda site: site.op in CONVOLUTIONS,
        "neighbouring tokens are convolved",
        "the machine reads each pixel once, in the patch embedding; it has no convolution over tokens",
        "use one patch size for the whole model, and linear layers inside",
    ),
    Architecture(
        "scale of the features",
        lambda site: site.op in UP,
        "a decoder or neck makes feature maps larger",
        "the machine keeps its number of tokens from the first block to the last",
        "end the model before this part, and run it on the host",
    ),
    Architecture(
        "pooling of tokens",
        lambda site: site.op in POOLS or "pool" in site.what,
        "neighbouring tokens become one",
        "the machine keeps its number of tokens; it can average all of them at the end",
        "use one patch size for the whole model, and a mean over all tokens at the end",
    ),
    Architecture(
        "norm of another kind",
        norm,
        "features are normalised over other axes than the channels of a token, or by another formula",
        "the machine normalises each token over its channels: by the root of its variance, or of its mean "
        "square, plus eps",
        "use LayerNorm or RMSNorm over the channels",
    ),
    Architecture(
        "gated MLP",
        lambda site: product(site) and gated(site),
        "two linear layers are multiplied element by element, as in SwiGLU",
        "the product of two activations, element by element, is not supported: the machine multiplies "
        "activations by weights and, in attention, queries by keys",
        "use an MLP of two linear layers with gelu or relu between",
    ),
    Architecture(
        "squeeze and excitation",
        product,
        "features are multiplied by a factor that the image decides",
        "the machine multiplies activations by weights and, in attention, queries by keys",
        "leave the factor out, or use one that is learned (LayerScale)",
    ),
    Architecture(
        "patch merging",
        lambda site: (order(site) or "split or reordered" in site.what) and not site.attention,
        "tokens are cut, joined or moved between blocks",
        "each row must be one token, all rows a contiguous range of tokens with the same channels",
        "keep tokens in raster order with all their channels; use one patch size for the whole model",
    ),
    Architecture(
        "random numbers",
        lambda site: site.op.startswith(RANDOM),
        "the result differs from run to run",
        "hardware computes one result for an image",
        "draw no numbers in eval mode, or make them constants",
    ),
    Architecture(
        "write into a part",
        lambda site: site.op == "copy",
        "a part of a tensor is overwritten",
        "the machine writes whole tokens of one layer",
        "build the tensor of its parts: torch.cat or torch.stack",
    ),
    Architecture(
        "order of tokens in attention",
        order,
        "heads or tokens lie in another order than the projections give them",
        "each row must be one token, all rows a contiguous range of tokens with the same channels",
        "split heads by reshape(1, tokens, heads, channels).transpose(1, 2), and join them the same way",
    ),
    Architecture("mixture of experts", lambda site: site.routed, *_MIXTURE),
    Architecture(
        "choice of tokens",
        lambda site: site.op in PICKS,
        "the image decides which tokens or experts go on",
        "hardware runs one fixed program for every image",
        f"{THREE_WAYS} (docs/experts.md has an example); otherwise keep all tokens",
    ),
    Architecture(
        "precision",
        lambda site: "float32" in site.what or site.op in ("to", "_to_copy", "type_as"),
        "the type of activations is changed inside the model",
        "the float model is the reference for quantization",
        "remove the cast or autocast; convert the model with model.float()",
    ),
    Architecture(
        "padding",
        lambda site: site.op in ("pad", "constant_pad_nd") or "padded" in site.what,
        "tokens or pixels around the image are made of others",
        "the machine has the tokens of the whole image, and zeros around it",
        "pad with a constant, or take an image size that needs no padding",
    ),
    Architecture(
        "tokens joined with constants",
        lambda site: site.what.startswith("constants are joined"),
        "some elements of a token are computed, others are constants",
        "each row must be one token of one layer, or a constant token",
        "concatenate whole tokens, or let a linear layer read what is joined",
    ),
    Architecture(
        "joined layers",
        lambda site: "joined" in site.what or site.op in ("cat", "stack"),
        "results of several layers are put side by side",
        "a linear layer can read them, and adds up what each of them gives",
        "put a linear layer right behind the join, or add instead of concatenating",
    ),
    Architecture(
        "image preprocessing",
        lambda site: ("image" in site.what or "patches" in site.what) and site.before_blocks,
        "the image is changed before it is cut into patches",
        "pixels enter the machine as patches of one convolution, or one linear layer on patches",
        "preprocess images before the model; patches must tile the whole image",
    ),
    Architecture(
        "scores or weights used elsewhere",
        lambda site: site.attention and ("scores" in site.what or "weights" in site.what),
        "attention scores or weights are read by something else than attention",
        "they never leave the machine",
        f"use {_ATTENTION_FIX}",
    ),
    Architecture(
        "factors or constants on tokens",
        lambda site: "constant" in site.what,
        "a constant acts on tokens where no weight can take it",
        "constants become part of a linear layer, a norm or the patch embedding",
        "make it the same for every token, next to a linear layer, or add it to the patch embedding",
    ),
    Architecture(
        "sum of streams",
        lambda site: site.op in ("add", "sub") and len(site.computed) == 2,
        "streams of tokens are added or subtracted across blocks",
        "the machine has one residual stream, to which branches are added",
        "add results of linear layers to one residual stream",
    ),
    Architecture(
        "attention of another form",
        lambda site: site.attention,
        "queries, keys or values differ from those of multi-head attention",
        "the machine computes softmax(q @ k.T * scale) @ v for each head, of all tokens",
        f"use {_ATTENTION_FIX}",
    ),
    Architecture(
        "change in place",
        lambda site: "in place" in site.what or "must not change" in site.what,
        "a tensor is overwritten that is used again",
        "the old value, or a view of it, is used again later",
        "write x = x + y instead of x += y, and inplace=False",
    ),
    Architecture(
        "activation function",
        lambda site: site.by_element and len(site.computed) == 1,
        "a function of each element",
        "hlsgen has no table for it",
        _ACTIVATIONS,
    ),
)


def named(site: Site, refusal: Refusal) -> Problem:
    """The problem of a refused call, with the name of what it is part of where the table has one."""
    where = str(refusal.source or site.call.source)
    for row in TABLE:
        if row.shown_by(site):
            why = f"{row.about}; {refusal.why or row.why}"
            return Problem(refusal.what, where, why, _fix(row, refusal), row.name)
    fix = refusal.fix or "leave it out, or compute it on the host, before or behind the model"
    return Problem(refusal.what, where, refusal.why, fix)


def _fix(row: Architecture, refusal: Refusal) -> str:
    """What the architecture's row says; a refusal's own advice where that has none."""
    return row.fix or refusal.fix
