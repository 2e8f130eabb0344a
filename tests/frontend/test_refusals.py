# SPDX-License-Identifier: Apache-2.0
"""What is refused, in the exact words, with the user's module path and line."""

from __future__ import annotations

from collections.abc import Callable

import frontend.refused as models
import pytest
from frontend.refused import IMAGE, WIDTH, Tiny, at, refusal
from torch import nn

from hlsgen.errors import Problem, UnsupportedModel
from hlsgen.frontend.capture import capture

NO_RULE = "hlsgen has no rule that turns it into a step of the machine"
ALL_TOKENS = "every token attends to every token on the machine"
ACTIVATIONS = "supported activations: gelu (exact and tanh), relu"
STREAM = "the residual stream"
PATCHES = "a patch embedding reads each pixel once; no other convolution has a place on the machine"
LAYOUT = "the elements do not lie in token order here"
ROWS = "each row must be one token, all rows a contiguous range of tokens with the same channels"


TANH = Problem("aten.tanh.default is not supported", f"first, second at {at('tanh')}", NO_RULE, ACTIVATIONS)
CLASSES = Problem(
    "softmax is only supported on attention scores",
    at("classes"),
    "it is computed between the query-key and the value product",
    "leave out a softmax over classes: the largest logit is the same class",
)
MODELS: dict[str, tuple[Callable[[], nn.Module], Problem]] = {
    "post_norm": (
        models.PostNorm,
        Problem(
            f"an addition must join {STREAM} and a linear layer, not a layer norm and a linear layer",
            at("post norm"),
            f"{STREAM} has 16 bits, and only results of linear layers are added to it",
            "use pre-norm blocks: x = x + attention(norm(x)); x = x + mlp(norm(x))",
        ),
    ),
    "suffix": (
        models.Suffix,
        Problem(
            "tokens must be constant tokens followed by all patches in raster order",
            f"norm at {at('suffix')}",
            "the machine writes the patch embedding once, prefix tokens first",
            "concatenate class and register tokens in front of the patches, and select after the blocks",
        ),
    ),
    "joined_layers": (
        models.JoinedLayers,
        Problem(
            "results of different layers are joined",
            at("joined"),
            "only constant tokens can be joined to the patches",
            "use one linear layer for what is joined, or add instead of concatenating",
        ),
    ),
    "strided": (
        lambda: Tiny(nn.Conv2d(2, WIDTH, 3, stride=2, padding=1)),
        Problem(
            "convolution stride must be (3, 3), not (2, 2); padding must be (0, 0), not (1, 1)",
            f"patch at {at('patch')}",
            PATCHES,
        ),
    ),
    "grouped": (
        lambda: Tiny(nn.Conv2d(2, WIDTH, 2, stride=2, groups=2, dilation=2)),
        Problem(
            "convolution dilation must be (1, 1), not (2, 2); groups must be 1, not 2",
            f"patch at {at('patch')}",
            PATCHES,
        ),
    ),
    "two_convolutions": (
        lambda: Tiny(nn.Sequential(nn.Conv2d(2, 8, 1), nn.Conv2d(8, WIDTH, 2, stride=2))),
        Problem("the convolution's input must be the image itself", f"patch.1 at {at('patch')}", PATCHES),
    ),
    "indivisible": (
        lambda: Tiny(nn.Conv2d(2, WIDTH, (3, 2), stride=(3, 2))),
        Problem("image 4x6 must be divisible by the patch 3x2", f"patch at {at('patch')}"),
    ),
    "normalised": (
        models.Normalised,
        Problem("the convolution's input must be the image itself", f"patch at {at('patch')}", PATCHES),
    ),
    "causal": (
        models.Causal,
        Problem("causal attention is not supported", at("causal"), ALL_TOKENS, "pass is_causal=False"),
    ),
    "masked": (
        models.Masked,
        Problem(
            "an attention mask that hides or biases something is not supported", at("masked"), ALL_TOKENS
        ),
    ),
    "dropping": (
        models.Dropping,
        Problem(
            "attention dropout must be 0, not 0.5",
            at("dropping"),
            "dropout is random",
            "pass dropout_p only in training",
        ),
    ),
    "biased": (models.Biased, Problem("a constant is added to attention scores", at("biased"), ALL_TOKENS)),
    "negative_scale": (
        models.NegativeScale,
        Problem("the attention scale must be positive and finite, not -0.5", at("negative")),
    ),
    "keys_first": (
        models.KeysFirst,
        Problem("softmax must be over the last axis (the keys), not over axis -2", at("queries")),
    ),
    "forgotten_transpose": (models.ForgottenTranspose, Problem(LAYOUT, f"proj at {at('forgotten')}", ROWS)),
    "every_second": (models.EverySecond, Problem(LAYOUT, at("second"), ROWS)),
    "gated": (
        models.Gated,
        Problem(
            "the product of two activations, element by element, is not supported",
            at("gated"),
            "the machine multiplies activations by weights and, in attention, queries by keys",
        ),
    ),
    "no_norm": (
        models.NoNorm,
        Problem(
            "the input of a linear layer must be a layer norm, attention, an activation or a mean over "
            "tokens, not selected tokens",
            f"head at {at('no norm')}",
            "linear layers read 8-bit features; the residual stream has 16 bits",
            "put a LayerNorm in front of it",
        ),
    ),
    "half": (
        models.Half,
        Problem(
            "activations must be float32, not float16",
            at("half"),
            "the float model is the reference for quantization",
            "remove the cast or autocast",
        ),
    ),
    "batch_norm": (
        models.BatchNorm,
        Problem(
            "aten.batch_norm.default is not supported",
            f"patch.1 at {at('patch')}",
            NO_RULE,
            "use LayerNorm, or fold the batch norm into the convolution before it",
        ),
    ),
    "einsum": (
        models.Einsum,
        Problem(
            "aten.einsum.default is not supported",
            at("einsum"),
            NO_RULE,
            "write the product with matmul or scaled_dot_product_attention",
        ),
    ),
    "constant": (models.Constant, Problem("the output must depend on the input", at("ignores"))),
    "branch": (
        models.Branch,
        Problem(
            "control flow must not depend on the input's values",
            at("branch"),
            "hardware runs one fixed program for every image",
            "replace the branch by torch.where, or decide it outside the model",
        ),
    ),
    "item": (
        models.Item,
        Problem(
            "aten.item.default is not supported",
            at("item"),
            NO_RULE,
            "compute it outside the model: hardware runs one fixed program",
        ),
    ),
    "fails": (
        models.Fails,
        Problem("torch.export can't trace the model", at("fails"), "ValueError: no image [1, 2, 4, 6]"),
    ),
    "counting": (
        models.Counting,
        Problem(
            "aten.add_.Tensor must not change the input, a weight or a buffer",
            at("counting"),
            fix="write x = x + y instead of x += y, and inplace=False",
        ),
    ),
    "overwriting": (
        models.Overwriting,
        Problem(
            "aten.mul_.Tensor must not change a value in place",
            at("overwriting"),
            "the old value, or a view of it, is used again later",
            "write x = x + y instead of x += y, and inplace=False",
        ),
    ),
    "per_token": (
        models.PerToken,
        Problem(
            "a constant factor must be the same for every token",
            at("per token"),
            "it becomes part of the weights of the layer before",
        ),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_refused_with_reason_and_place(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    make, wanted = MODELS[name]
    assert refusal(make().eval()) == (wanted,)
    assert capfd.readouterr() == ("", "")


def test_the_base_of_these_models_is_supported() -> None:
    assert capture(Tiny().eval(), IMAGE).output == "head"


def test_message_as_the_user_sees_it() -> None:
    with pytest.raises(UnsupportedModel) as caught:
        capture(models.TwoTanh().eval(), IMAGE)
    assert str(caught.value) == (
        "aten.tanh.default is not supported\n"
        f"  where: first, second at {at('tanh')}\n"
        "  why: hlsgen has no rule that turns it into a step of the machine\n"
        "  fix: supported activations: gelu (exact and tanh), relu\n"
        "softmax is only supported on attention scores\n"
        f"  where: {at('classes')}\n"
        "  why: it is computed between the query-key and the value product\n"
        "  fix: leave out a softmax over classes: the largest logit is the same class"
    )


def test_cond() -> None:
    problems = refusal(models.Cond().eval())
    assert [problem.what for problem in problems] == [
        "aten.sum.default is not supported",
        "aten.gt.Scalar is not supported",
        "cond is not supported",
    ]
    advice = "use torch.where, or decide outside the model: hardware runs one fixed program"
    assert problems[-1].fix == advice
