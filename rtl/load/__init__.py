# SPDX-License-Identifier: Apache-2.0
"""LOAD: operand rows on their way into the array."""
