# SPDX-License-Identifier: Apache-2.0
"""How objects look in a notebook: a short `repr`, and a small table as HTML. It knows none of them."""
