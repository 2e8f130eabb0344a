# SPDX-License-Identifier: Apache-2.0
"""Seeded random models on random machines: golden = interpreter = C++ = RTL, every tensor."""
