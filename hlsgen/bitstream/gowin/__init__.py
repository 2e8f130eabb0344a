# SPDX-License-Identifier: Apache-2.0
"""Projects of Gowin boards: written, and built by Yosys, nextpnr and gowin_pack."""
