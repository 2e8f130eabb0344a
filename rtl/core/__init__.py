# SPDX-License-Identifier: Apache-2.0
"""CORE: stages, memories and streams, together."""
