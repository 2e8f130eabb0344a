# SPDX-License-Identifier: Apache-2.0
"""Which machine fits a board: estimates, the choice of what is left open, and what would fit instead."""
