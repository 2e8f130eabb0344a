/* SPDX-License-Identifier: Apache-2.0 */
/* The devices of the simulated system, and the driver's port to the accelerator. See system.v. */
#ifndef BOARD_H
#define BOARD_H

#include "hlsgen_design.h"

enum { READ_ERRORS = 1, WRITE_ERRORS = 2, SILENCE = 4 };

/* What processor and accelerator share; the Image lies there from the beginning. */
extern uint32_t board_shared[HLSGEN_MEMORY_BYTES / 4];

hlsgen_port board_port(void);
void board_faults(uint32_t faults);
void board_word(uint32_t word); /* to the host of the simulation */
void board_text(const char *text);
void board_number(int32_t number);
uint32_t board_clock(void *context);

#endif
