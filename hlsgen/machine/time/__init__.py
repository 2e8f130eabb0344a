# SPDX-License-Identifier: Apache-2.0
"""How long a program takes: the cycle model, the bus, and the bounds that no schedule beats."""
