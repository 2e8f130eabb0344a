# SPDX-License-Identifier: Apache-2.0
"""DRAIN: results on their way out of the array."""
