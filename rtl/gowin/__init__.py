# SPDX-License-Identifier: Apache-2.0
"""Parts of a Gowin board only: the clock's PLL, and the board top around it."""
