# SPDX-License-Identifier: Apache-2.0
"""The array of multipliers, and the products of each kind of device."""
