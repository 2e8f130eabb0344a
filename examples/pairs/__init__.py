# SPDX-License-Identifier: Apache-2.0
"""A trained vision transformer: two digits over photos, 32 x 32, 100 classes."""
