# SPDX-License-Identifier: Apache-2.0
"""Which machine for a model: thousands of points from the cycle model, the best of them confirmed in RTL."""
