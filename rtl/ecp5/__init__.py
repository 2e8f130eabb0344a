# SPDX-License-Identifier: Apache-2.0
"""Parts of an ECP5 board only: the clock's PLL, and the paths of the blocks that get sites."""
