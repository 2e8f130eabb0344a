# SPDX-License-Identifier: Apache-2.0
"""Jinja2 templates and C++ headers: what is a plain file stays a plain file."""
