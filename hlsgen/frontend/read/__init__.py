# SPDX-License-Identifier: Apache-2.0
"""A model as plain calls on plain tensors: from torch.export, live or from its .pt2 file."""
