# SPDX-License-Identifier: Apache-2.0
"""Fields of `QuantizeConfig` on the command line: `centred=true logit_width=12`."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Sequence
from typing import Any

from hlsgen.errors import Problem, UsageError
from hlsgen.quantization.config import QuantizeConfig

DEFAULTS = "defaults"


def config(settings: Sequence[str]) -> QuantizeConfig:
    """The configuration with these fields, each `NAME=VALUE`; VALUE is TOML, or plain text."""
    return QuantizeConfig(**dict(map(_setting, settings)))


def called(settings: Sequence[str]) -> str:
    """How a configuration is called in tables."""
    return " ".join(settings) or DEFAULTS


def _setting(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    known = [item.name for item in dataclasses.fields(QuantizeConfig)]
    if not sign or name not in known:
        what = f"--set must be NAME=VALUE with a field of QuantizeConfig, not {text!r}"
        raise UsageError(Problem(what, fix=f"fields: {', '.join(known)}"))
    return name, _value(value)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
