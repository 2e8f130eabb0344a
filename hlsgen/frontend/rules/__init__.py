# SPDX-License-Identifier: Apache-2.0
"""What each call means: rules from ATen operators to ops, and the form that a Graph must have."""
