# SPDX-License-Identifier: Apache-2.0
"""Which tensor costs how much accuracy, and which options of the quantizer give it back."""
