# SPDX-License-Identifier: Apache-2.0
"""Vision transformers of published sizes with seeded random weights: for size and speed, not accuracy."""
