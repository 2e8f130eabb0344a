# SPDX-License-Identifier: Apache-2.0
"""How much of a float model the integers keep, on trained models and real data."""
