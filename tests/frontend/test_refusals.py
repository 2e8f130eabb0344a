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
STREAM = "the residual stream"
PATCHES = "a convolution cuts the image into patches; no other has a place on the machine"
LAYOUT = "the elements do not lie in token order here"
ROWS = "each row must be one token, all rows a contiguous range of tokens with the same channels"


SUMS = Problem("aten.cumprod.default is not supported", f"first, second at {at('running')}", NO_RULE)
CLASSES = Problem(
    "softmax is only supported on attention scores",
    at("classes"),
    "it is computed between the query-key and the value product",
    "leave out a softmax over classes: the largest logit is the same class",
)
MODELS: dict[str, tuple[Callable[[], nn.Module], Problem]] = {
    "joined_layers": (
        models.JoinedLayers,
        Problem(
            "results of different layers are joined",
            at("joined"),
            "a linear layer can read them, and adds up what each of them gives",
            "put a linear layer right behind the join, or add instead of concatenating",
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
    "masked": (
        models.Masked,
        Problem("the attention mask must be a constant, not computed from the image", at("masked")),
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
    "biased": (
        models.Biased,
        Problem(
            "a constant takes the place of attention scores that count",
            at("biased"),
            "a score is a product of query and key, plus a constant",
            "hide a key by -inf; of a query that sees no key the result is zeros",
        ),
    ),
    "forgotten_transpose": (models.ForgottenTranspose, Problem(LAYOUT, f"proj at {at('forgotten')}", ROWS)),
    "mingled": (models.Mingled, Problem(LAYOUT, at("mingled"), ROWS)),
    "gated": (
        models.Gated,
        Problem(
            "the product of two activations, element by element, is not supported",
            at("gated"),
            "the machine multiplies activations by weights and, in attention, queries by keys",
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
    "constant": (models.Constant, Problem("the output must depend on the input", at("ignores"))),
    "branch": (
        models.Branch,
        Problem(
            "control flow must not depend on the input's values",
            at("branch"),
            "hardware runs one fixed program for every image; the rest is judged once the model exports",
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
            at("per token sum"),
            "it becomes part of the weights of the layer before or behind",
        ),
    ),
}


NAMES = {
    "post_norm": "post-norm",
    "joined_layers": "joined layers",
    "strided": "convolution stem",
    "grouped": "convolution stem",
    "two_convolutions": "convolution stem",
    "masked": "attention mask",
    "dropping": "attention dropout",
    "biased": "attention mask",
    "forgotten_transpose": "order of tokens in attention",
    "mingled": "patch merging",
    "gated": "gated MLP",
    "half": "precision",
    "two_outputs": "several outputs",
    "constant": "output of another kind",
    "branch": "decision by the image",
    "item": "decision by the image",
    "fails": "forward that can't be traced",
    "counting": "change in place",
    "overwriting": "change in place",
    "per_token": "factors or constants on tokens",
}


@pytest.mark.parametrize("name", MODELS)
def test_refused_with_name_reason_and_place(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    make, wanted = MODELS[name]
    found, *others = refusal(make().eval())
    assert (found.name, found.what, found.where) == (NAMES[name], wanted.what, wanted.where)
    assert wanted.why in found.why
    assert found.fix
    assert [problem.name for problem in others] == (
        ["output of another layer"] if name == "two_outputs" else []
    )
    assert capfd.readouterr() == ("", "")


def test_the_base_of_these_models_is_supported() -> None:
    assert capture(Tiny().eval(), IMAGE).output == "head"


def test_message_as_the_user_sees_it() -> None:
    with pytest.raises(UnsupportedModel) as caught:
        capture(models.TwoSums().eval(), IMAGE)
    assert str(caught.value) == (
        "aten.cumprod.default is not supported\n"
        f"  where: first, second at {at('running')}\n"
        "  why: hlsgen has no rule that turns it into a step of the machine\n"
        "  fix: leave it out, or compute it on the host, before or behind the model\n"
        "class scores: softmax is only supported on attention scores\n"
        f"  where: {at('classes')}\n"
        "  why: the last step turns logits into probabilities or a class; "
        "it is computed between the query-key and the value product\n"
        "  fix: return the logits, and take softmax or argmax of what `predict` returns"
    )


def test_cond() -> None:
    problems = refusal(models.Cond().eval())
    assert [problem.what for problem in problems] == ["cond is not supported"]
    advice = "compute it outside the model, or use torch.where"
    assert problems[-1].fix == advice
