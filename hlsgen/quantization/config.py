# SPDX-License-Identifier: Apache-2.0
"""`QuantizeConfig`: a user's choice of observers and widths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TypeVar

from hlsgen.errors import Problem, UsageError
from hlsgen.errors.codes import Code
from hlsgen.numerics import exp_zero
from hlsgen.ops.activation import MOST_INDEX_BITS
from hlsgen.ops.softmax import MOST_NUMERATOR_BITS
from hlsgen.quantization.observers import Observer, parse

CHOICES = {
    "norm_factors": ("off", "auto", "on"),
    "numerator_rounding": ("diffused", "nearest"),
    "rounding": ("gptq", "nearest"),
}
"""Fields that are one of a few words."""
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class QuantizeConfig:
    """Observers and widths.

    An observer is written `min-max`, `percentile`, `percentile:99.9`, `mse` (least mean square error) or
    `mse:5` (the same, but the largest value seen loses 5 % at most).
    `overrides` and `weight_overrides` map a glob over tensor names to an observer; the first match wins.
    Raises `UsageError` with every value that is not possible.
    """

    image: str = "mse"
    """Observer of the input image."""
    activations: str = "mse:5"
    """Observer of every int8 tensor but the image. An outlier that loses more costs a trained model more than
    finer steps for all other values give back."""
    logits: str = "min-max"
    """Observer of attention logits."""
    weights: str = "min-max"
    """Observer of each output channel of a weight."""
    overrides: Mapping[str, str] = field(default_factory=dict)
    """Glob over names of int8 tensors and attention logits -> observer: "blocks_0_*" = "percentile:99.9". The
    first match wins; one that matches nothing is refused with all names."""
    weight_overrides: Mapping[str, str] = field(default_factory=dict)
    """Glob over names of linear nodes -> observer of the weight: "blocks_*_mlp_fc1" = "mse"."""
    weight_bits: int | Mapping[str, int] = 8
    """Bits of a weight (2..8). A number is for all linear layers but routers, those that read the image, and
    those that make an output, which keep 8. A table has globs over names of linear nodes: "blocks_*" = 4; the
    first match wins, 8 where there is none. Weights of up to 4 bits take half a byte of memory each."""
    rounding: str = "gptq"
    """How weights of fewer than 8 bits are rounded: `gptq` (such that results change least on the calibration
    images) or `nearest`. Weights of 8 bits are rounded to nearest."""
    feature_bits: int | Mapping[str, int] = 8
    """Bits of int8 tensors but the image (4..8): with 6, the largest value is 31 steps. A table has globs
    over their names: "blocks_*" = 6; the first match wins, 8 where there is none. The machine keeps 8 bits of
    each: fewer save nothing, they show what a model loses. Norms and contexts still saturate at 8 bits."""
    activation_bits: int = 8
    """Bits of what an activation's table is indexed by (8..12): it has 2**bits entries in every lane."""
    activation_overrides: Mapping[str, int] = field(default_factory=dict)
    """Glob over names of what activations read -> bits: "blocks_0_mlp_fc1" = 10. The first match wins."""
    logit_width: int = 10
    """Bits of an attention logit (8..12)."""
    numerator_bits: int = 8
    """Bits of a softmax numerator (8..12). With more than 8 a context takes twice the steps."""
    numerator_rounding: str = "diffused"
    """How softmax numerators below one unit are rounded: `diffused` (to ones and zeros whose sum is right, so
    that many small weights don't vanish together) or `nearest`."""
    residual_bits: int = 16
    """Bits that the residual stream uses, of the 16 it has (9..16)."""
    residual_headroom: float = 1.25
    """Largest residual value represented, over the largest one observed (1..64)."""
    output_headroom: float = 2.0
    """Largest output value represented, over the largest one observed (1..64)."""
    centred: bool = True
    """Whether constants move out of 8-bit tensors into biases, which also take the mean error of weights."""
    outliers_apart: bool = True
    """Whether the 32 channels of an activation that reach farthest are a tensor of their own where the error
    then loses 4.3 dB: two more narrow layers, and another addition. Tensors of fewer than 512 channels, or of
    fewer than 32 rows, stay."""
    norm_factors: str = "auto"
    """Powers of two by element of norms, which the weights behind take back: `off`; `auto`, where a norm's
    error loses 3 dB by them; `on`, wherever they help. A machine keeps 3 bits for each such element."""
    batch: int = 64
    """Images evaluated at once; fewer when their tensors are large."""
    measured_images: int = 256
    """Calibration images kept, evenly spaced, to measure errors on; fewer when their tensors are large."""

    @property
    def diffused(self) -> bool:
        """Whether small numerators are diffused: see `numerics.exp_table`."""
        return self.numerator_rounding == "diffused"

    @property
    def depth(self) -> float:
        """Logits so far below a row's maximum, or farther, count as nothing."""
        return exp_zero(self.numerator_bits, diffused=self.diffused)

    def __post_init__(self) -> None:
        problems = [
            Problem(f"{name} must be {rule}, not {getattr(self, name)!r}")
            for name, legal, rule in (
                ("activation_bits", 8 <= self.activation_bits <= MOST_INDEX_BITS, "in 8..12"),
                ("logit_width", 8 <= self.logit_width <= 12, "in 8..12"),
                ("numerator_bits", 8 <= self.numerator_bits <= MOST_NUMERATOR_BITS, "in 8..12"),
                ("residual_bits", 9 <= self.residual_bits <= 16, "in 9..16"),
                ("residual_headroom", 1.0 <= self.residual_headroom <= 64.0, "in 1..64"),
                ("output_headroom", 1.0 <= self.output_headroom <= 64.0, "in 1..64"),
                ("batch", self.batch >= 1, "positive"),
                ("measured_images", self.measured_images >= 1, "positive"),
                *(
                    (name, getattr(self, name) in choices, f"one of {', '.join(choices)}")
                    for name, choices in CHOICES.items()
                ),
            )
            if not legal
        ]
        problems += self._entries()
        if problems:
            raise UsageError(problems, code=Code.QUANTIZER)

    def _entries(self) -> list[Problem]:
        """What is wrong with widths and observers by name."""
        problems = [
            Problem(f"{field_name}{f'[{name!r}]' if name else ''} must be in {least}..8, not {bits!r}")
            for field_name, least in (("weight_bits", 2), ("feature_bits", 4))
            for name, bits in by_name(getattr(self, field_name), "").items()
            if not (isinstance(bits, int) and least <= bits <= 8)
        ]
        problems += [
            Problem(f"activation_overrides[{glob!r}] must be in 8..12, not {bits!r}")
            for glob, bits in self.activation_overrides.items()
            if not 8 <= bits <= MOST_INDEX_BITS
        ]
        observers = {name: getattr(self, name) for name in ("image", "activations", "logits", "weights")}
        for field_name in ("overrides", "weight_overrides"):
            observers |= {f"{field_name}[{k!r}]": v for k, v in getattr(self, field_name).items()}
        for name, text in observers.items():
            try:
                parse(text)
            except UsageError as error:
                problems += [Problem(f"{name}: {problem}") for problem in error.problems]
        return problems


def by_name(bits: int | Mapping[str, int], everything: str = "*") -> Mapping[str, int]:
    """Bits by glob; a number's glob is `everything`."""
    return {everything: bits} if isinstance(bits, int) else bits


def chosen(name: str, overrides: Mapping[str, str], default: str) -> Observer:
    """The observer of the first glob that matches, or the default."""
    return parse(matched(name, overrides, default))


def matched(name: str, overrides: Mapping[str, _T], default: _T) -> _T:
    """The entry of the first glob that matches, or the default."""
    return next((entry for glob, entry in overrides.items() if fnmatchcase(name, glob)), default)
