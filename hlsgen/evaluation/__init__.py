# SPDX-License-Identifier: Apache-2.0
"""How good a compiled model is on data: classes, noise, experts, at any level."""
