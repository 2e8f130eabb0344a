# SPDX-License-Identifier: Apache-2.0
"""What the front end says of published attention models and equal spellings: `python -m benchmarks.zoo`."""
