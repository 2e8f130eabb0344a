# SPDX-License-Identifier: Apache-2.0
"""Which machine fits a board: estimates, the choice of open settings, and machines that would fit instead."""
