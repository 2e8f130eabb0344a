# SPDX-License-Identifier: Apache-2.0
"""The accelerator in Amaranth. The folders are a chain: each imports only from those before it."""
