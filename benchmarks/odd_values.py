# SPDX-License-Identifier: Apache-2.0
"""Values that no option and no field of a file expects, and models of all kinds."""

from __future__ import annotations

import re

MODULE = """
import torch, numpy
from hlsgen.examples.digits.model import digits
IMAGE = numpy.zeros((1, 1, 8, 8), numpy.float32)
class Tanh(torch.nn.Module):
    def forward(self, x): return torch.tanh(x)
class Wide(torch.nn.Module):
    def __init__(self, width): super().__init__()
    def forward(self, x): return x
class Broken(torch.nn.Module):
    def forward(self, x): return x[:, 7, 9, 11] @ x
class Grows(torch.nn.Module):
    def forward(self, x): return x.expand(1 << 20, 1 << 20, 8, 8).reshape(-1) * torch.ones(1 << 46)
def unsupported(): return Tanh().eval()
def plain(): return digits()
def pair(): return digits(), IMAGE
def triple(): return digits(), IMAGE, IMAGE
def empty(): return digits(), IMAGE[:0]
def flat(): return digits(), IMAGE[0]
def integers(): return digits(), IMAGE.astype(int)
def words(): return digits(), "image"
def nothing(): return None
def number(): return 3
def broken(): return Broken().eval()
def grows(): return Grows().eval()
def training(): return digits().train()
def needs(width, depth=3): return Wide(width)
def keywords(*, width): return Wide(width)
def raises(): raise RuntimeError("first line\\nsecond \\x1b[31m line")
def leaves(): raise SystemExit(0)
def recurses(): return recurses()
def divides(): return 1 / 0
def absent(): import nowhere_to_be_found
def partly(): from json import nothing_there
def memory(): return numpy.ones(1 << 48)
def nan():
    model = digits(); torch.nn.init.constant_(model.head.weight, float("nan")); return model
def huge():
    model = digits(); torch.nn.init.constant_(model.head.weight, 1e38); return model
value = 3
"""
FACTORIES = re.findall(r"^def (\w+)|^class (\w+)|^(value)", MODULE, re.MULTILINE)
ODD_TEXTS = (
    '', ' ', '0', '-1', '+1', '1.5', '1e9', 'nan', 'inf', '-inf', '0x10', '1_0', '4 ', ' 4', '4\n',
    '\x00', 'a\x00b', '\u0663', '99999999999999999999', '9' * 5000, '---', '--', '-', '--json', 'a' * 300,
    'a/' * 3000, '\x1b[31m', '\udc80', '\U0001f4a5', '[', '{}', '$(id)', '`id`', 'a;b', 'a b', "'", '"',
    '../..', '/', '/dev/null', '/proc/self/mem', '~', '.', '..', '*', '%s%n', 'C:\\x', 'None', 'true',
)  # fmt: skip
ODD_ARRAYS = (
    '0x0x0', '1x1x1', '3x3x3', '64x64x64', '65x1x1', '4x4', '4x4x8x2', '4X4X8', '-4x4x8', '4x4x8 ',
    'x4x8', '0x4x8', '999999999x1x1', "9" * 5000 + "x4x8", '1x64x1', '4.0x4x8', '\u0664x4x8', '4x4x8\n',
)  # fmt: skip
ODD_SHAPES = (
    '0x8x8', '1x8', '1x8x8x8', '1x0x8', '-1x8x8', '1x7x9', '3x8x8', '99999x99999x99999',
    "9" * 5000 + "x1x1", '1x1x1', '1x8x8 ', '1x99999999x1', '1\n8x8',
)  # fmt: skip
ODD_VALUES = (
    None, True, -1, 0, 1, 2**31, 2**63, 2**64, -(2**70), 1.5, 1e+300, '', 'x', 'x' * 5000, '\x00',
    '\x1b[31m', '\udc80', [], {}, [None], {'a': 1}, [[]], '../../../etc/passwd', '1' * 5000,
)  # fmt: skip
RAW_VALUES = (
    'NaN', 'Infinity', '-Infinity', '1e999', '9' * 5000, '[' * 3000, '{"a":' * 3000, '', 'nul', '\\',
    '"\\ud800"',
)  # fmt: skip
