# SPDX-License-Identifier: Apache-2.0
"""What a board with an ECP5 has of its own: the clock's PLL, and where its blocks lie."""
