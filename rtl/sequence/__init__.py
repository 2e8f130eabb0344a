# SPDX-License-Identifier: Apache-2.0
"""SEQUENCE: from commands to jobs of the stages."""
