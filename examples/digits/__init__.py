# SPDX-License-Identifier: Apache-2.0
"""A small vision transformer on scikit-learn's 8x8 digits, and an awkward one for tests."""
