# SPDX-License-Identifier: Apache-2.0
"""Faults of ONNX files and of weights come from their seed, and most change something."""

from __future__ import annotations

import json
import random
import struct

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from benchmarks.damaged_bytes import header_damaged
from benchmarks.damaged_onnx import onnx_damaged


def model() -> bytes:
    kinds = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", "y")]
    nodes = [helper.make_node("Softmax", ["x"], ["s"], axis=1), helper.make_node("Add", ["s", "w"], ["y"])]
    weights = [numpy_helper.from_array(np.ones(4, np.float32), "w")]
    return helper.make_model(helper.make_graph(nodes, "g", kinds[:1], kinds[1:], weights)).SerializeToString()


def test_a_case_can_be_repeated() -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    weights = struct.pack("<Q", len(header)) + header + bytes(4)
    for make, whole in ((onnx_damaged, model()), (header_damaged, weights)):
        made = [[make(random.Random(seed), whole) for seed in range(60)] for _ in range(2)]
        assert made[0] == made[1]
        assert sum(data != whole for data in made[0]) > 40
        assert len(set(made[0])) > 20
