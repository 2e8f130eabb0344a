# SPDX-License-Identifier: Apache-2.0
"""From a program to text: C++, Verilog, test benches and the files of a build folder."""
