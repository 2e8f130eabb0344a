/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the images of a plan on the accelerator with the C driver, and compares every integer of every output.
 *
 * The plan: the number of runs; of each run its task, its integers [channels][height][width] and the outputs
 * that it must give, int16, each part padded to 4 bytes. The simulation gets of each run: the outputs' integers, the
 * counters, the counters of each expert, and the processor's cycles from the first call to the last.
 */
#include "board.h"

#define TICKS 0xF0000000u /* the machine's own limit ends an image long before */

extern const uint32_t plan[];

static hlsgen_device device;
static int16_t values[HLSGEN_OUTPUT_ELEMENTS];

static int fail(uint32_t run, const char *call, int code)
{
    board_text("run ");
    board_number((int32_t)run);
    board_text(call);
    board_number(code);
    board_text(": ");
    board_text(hlsgen_text(code));
    board_text("\n");
    return code;
}

/* Integers of all outputs of a task. */
static uint32_t integers(uint32_t task)
{
    const hlsgen_output *output = hlsgen_model.task[task].output, *end = output + hlsgen_model.task[task].outputs;
    uint32_t count = 0;

    for (; output != end; output++)
        count += output->rows * output->columns;
    return count;
}

static int compare(uint32_t run, uint32_t task, const int16_t *expected)
{
    const uint32_t count = integers(task);
    uint32_t at;

    for (at = 0; at < count; at++)
        if (values[at] != expected[at]) {
            board_text("run ");
            board_number((int32_t)run);
            board_text(", output ");
            board_number((int32_t)at);
            board_text(" must be ");
            board_number(expected[at]);
            board_text(", not ");
            board_number(values[at]);
            board_text("\n");
            return HLSGEN_ERROR_DIFFERENT;
        }
    return HLSGEN_OK;
}

static void report(uint32_t task, uint32_t cycles)
{
    const uint32_t count = integers(task);
    hlsgen_expert_counters expert;
    hlsgen_counters counters;
    uint32_t at;

    for (at = 0; at < count; at++)
        board_word((uint32_t)(int32_t)values[at]);
    hlsgen_count(&device, &counters);
    for (at = 0; at < sizeof counters / sizeof(uint32_t); at++)
        board_word(((const uint32_t *)&counters)[at]);
    for (at = 0; hlsgen_count_expert(&device, at, &expert) == HLSGEN_OK; at++) {
        board_word(expert.tokens);
        board_word(expert.waits);
    }
    board_word(cycles);
}

static int run_image(uint32_t run, uint32_t task, const int8_t *pixels, const int16_t *expected)
{
    const uint32_t begin = board_clock(0);
    uint32_t cycles;
    int code = hlsgen_put(&device, pixels);

    if (code == HLSGEN_OK)
        code = hlsgen_run(&device, task, TICKS);
    if (code == HLSGEN_OK)
        code = hlsgen_get(&device, task, values);
    cycles = board_clock(0) - begin;
    if (code != HLSGEN_OK)
        return fail(run, ": error ", code);
    report(task, cycles);
    return compare(run, task, expected);
}

int main(void)
{
    const hlsgen_port port = board_port();
    const uint32_t *at = plan;
    uint32_t runs = *at++, run, task;
    int code = hlsgen_open(&device, &port, &hlsgen_model);

    if (code == HLSGEN_OK)
        code = hlsgen_adopt(&device);
    if (code != HLSGEN_OK)
        return fail(0, ", before it: error ", code);
    for (run = 0; run < runs && code == HLSGEN_OK; run++) {
        const uint32_t *pixels = at + 1, *expected = pixels + (HLSGEN_INPUT_ELEMENTS + 3) / 4;

        task = *at;
        at = expected + (integers(task) + 1) / 2;
        code = run_image(run, task, (const int8_t *)pixels, (const int16_t *)expected);
    }
    return code;
}
