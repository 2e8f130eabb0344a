# SPDX-License-Identifier: Apache-2.0
"""From a PyTorch model to a float Graph, or to one error with everything that is in the way."""
