/* SPDX-License-Identifier: Apache-2.0 */
    .section .init
    .global _start
_start:
    la sp, stack
    call main
    li t0, 0x10000004
    sw a0, 0(t0)
1:  j 1b

#include "hlsgen_design.h"

    .data
    .global plan, board_shared
    .balign 64
board_shared:
    .incbin "image.bin"
    .space HLSGEN_MEMORY_BYTES - (. - board_shared)
    .balign 64
plan:
    .incbin "plan.bin"
