# SPDX-License-Identifier: Apache-2.0
"""The attention systems on the project's list: what each needs, and which example runs it."""

from __future__ import annotations

from typing import NamedTuple

LISTS = "run lists"
GATES = "products element by element"
MAPS = "attention maps as tensors"
SELECT = "selection as data"
HEADS = "lists of heads"
SCALES = "row scales"
GRIDS = "convolutions on tokens"
STATE = "state across steps"


class Paper(NamedTuple):
    """A system: its equations in a line, the example that runs it, the mechanisms that it waits for."""

    name: str
    equations: str
    example: str = ""
    waits: tuple[str, ...] = ()


PAPERS = (
    Paper("Edge-MoE", "softmax attention; top-k experts by token, gates", "shipped: m3vit-tiny"),
    Paper("ConvShareViT", "linear layers that are convolutions of a token as image", "conv_share_vit"),
    Paper("Efficient Probing", "softmax(q K.T) V of learned queries q", "efficient_probing"),
    Paper("VHR", "o_h := alpha_h o_h; causal", "vhr, head_gains"),
    Paper("Soft Injection", "o_h := (1 - a_h) o_h + a_h e_h; causal", "soft_injection, head_gains"),
    Paper("Generalized Neighborhood Attention", "keys of a strided window", "generalized_neighborhood"),
    Paper("Faster Neighborhood Attention", "keys of a window, dilated", "faster_neighborhood"),
    Paper("S2-Attention", "local and strided keys, by head", "s2_attention"),
    Paper("AKI", "causal keys and one more block", "aki"),
    Paper("EE-MLLM", "image tokens see no image tokens", "ee_mllm"),
    Paper("OAT", "decoder with causal and cross attention", "oat", (STATE,)),
    Paper("SegVG", "three kinds of tokens, projections of their own", "segvg"),
    Paper("MQSA-TED", "queries are running means of the last items", "mqsa_ted"),
    Paper("IR-Diffusion", "keys of other images, subjects apart", "ir_diffusion"),
    Paper("MoH", "each token weighs a few heads", "", (HEADS, GATES)),
    Paper("Concept-Centric", "softmax over slots; a GRU", "", (SCALES, GATES)),
    Paper("MODA", "keys through another modality's Gram matrix", "", (SCALES,)),
    Paper("GAAM", "features weighed by Gaussians around their mean", "", (GATES, SCALES)),
    Paper("Flowformer", "phi(Q) (phi(K).T V), flows conserved", "linear_attention, in part", (SCALES,)),
    Paper("Attention-Aware SMoE", "router scores smoothed by the attention map", "", (MAPS,)),
    Paper("VAR", "weights of sinks move to other keys of the row", "", (MAPS,)),
    Paper("ACT", "columns with large sums are scaled down", "", (MAPS,)),
    Paper("BroadWay", "the map of another block is added", "", (MAPS,)),
    Paper("CSWin", "stripes by head; a depthwise convolution of V", "", (LISTS, GRIDS)),
    Paper("Agent Attention", "pooled queries collect, then give back", "", (GRIDS,)),
    Paper("Class Semantics-based Attention", "channel and time gates", "", (GATES, GRIDS)),
    Paper("MEDUSA", "one attention map gates every scale", "", (GATES, GRIDS)),
    Paper("SeNER", "arrow and plus-shaped attention", "", (GRIDS,)),
    Paper("DCAL", "the most attended patches ask", "", (SELECT, MAPS)),
    Paper("Dynamic Mask Attention", "the w most important keys of a head", "", (SELECT,)),
    Paper("HCAM", "summaries of chunks, then the best chunks", "", (SELECT,)),
    Paper("HiP", "keys by halving ranges", "", (SELECT,)),
    Paper("DARE", "the K best items, other embeddings for content", "", (SELECT,)),
    Paper("PAINT", "gains of two sets of scores of the last row", "", (SELECT, MAPS)),
    Paper("Routing Transformer", "attention inside clusters", "", (SELECT, SCALES)),
    Paper("TCPA", "prompts chosen by cosine match", "", (SELECT,)),
    Paper("Titans", "a memory matrix that is updated", "", (STATE, GATES)),
    Paper("Group Think", "thinkers see each other's steps", "", (STATE,)),
)
