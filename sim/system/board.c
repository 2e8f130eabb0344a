/* SPDX-License-Identifier: Apache-2.0 */
/* The system's devices, and what a compiler wants where there is no library. */
#include "board.h"

#define DEVICE(offset) (*(volatile uint32_t *)(0x10000000u + (offset)))
#define LETTER DEVICE(0x00)
#define WORD DEVICE(0x08)
#define FAULTS DEVICE(0x0C)
#define FLUSH DEVICE(0x10)
#define INVALIDATE DEVICE(0x14)
#define CYCLES DEVICE(0x18)
#define REGISTERS ((volatile uint32_t *)0x40000000u)
#define BASE 0x100000000u /* where the accelerator sees the memory */
#define LINE 64u

static void flush(void *context, const volatile void *start, size_t bytes)
{
    uintptr_t line = (uintptr_t)start;
    const uintptr_t end = line + bytes;

    (void)context;
    for (; line < end; line += LINE)
        FLUSH = (uint32_t)line;
}

static void invalidate(void *context, const volatile void *start, size_t bytes)
{
    uintptr_t line = (uintptr_t)start;
    const uintptr_t end = line + bytes;

    (void)context;
    for (; line < end; line += LINE)
        INVALIDATE = (uint32_t)line;
}

uint32_t board_clock(void *context)
{
    (void)context;
    return CYCLES;
}

hlsgen_port board_port(void)
{
    hlsgen_port port = {0};

    port.registers = REGISTERS;
    port.memory = board_shared;
    port.address = (uint64_t)BASE + (uintptr_t)board_shared;
    port.bytes = HLSGEN_MEMORY_BYTES;
    port.flush = flush;
    port.invalidate = invalidate;
    port.clock = board_clock;
    return port;
}

void board_faults(uint32_t faults)
{
    FAULTS = faults;
}

void board_word(uint32_t word)
{
    WORD = word;
}

void board_text(const char *text)
{
    while (*text)
        LETTER = (uint32_t)*text++;
}

void board_number(int32_t number)
{
    char digits[12];
    uint32_t left = number < 0 ? 0u - (uint32_t)number : (uint32_t)number;
    unsigned at = sizeof digits;

    digits[--at] = 0;
    do
        digits[--at] = (char)('0' + left % 10);
    while (left /= 10);
    if (number < 0)
        digits[--at] = '-';
    board_text(digits + at);
}

void *memset(void *start, int value, size_t bytes)
{
    volatile uint8_t *at = start;

    while (bytes--)
        *at++ = (uint8_t)value;
    return start;
}

void *memcpy(void *restrict start, const void *restrict source, size_t bytes)
{
    volatile uint8_t *at = start;
    const uint8_t *from = source;

    while (bytes--)
        *at++ = *from++;
    return start;
}
