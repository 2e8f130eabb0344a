"""Jinja2 templates and C++ headers: what is a plain file stays a plain file."""
