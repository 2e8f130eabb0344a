/* SPDX-License-Identifier: Apache-2.0 */
/* Provokes every code of the driver and of the accelerator behind it, and after each of them the next image must be
 * right in every integer. The simulation gets the codes that were provoked as words.
 */
#include "board.h"

#define TICKS 400000u
#define SHORT_WATCHDOG 3000u
#define TASKS 8u

extern const uint8_t hlsgen_image[], hlsgen_image_end[], hlsgen_vectors[], hlsgen_vectors_end[];

static hlsgen_device device;
static hlsgen_port port;
static hlsgen_design design; /* a copy that may be wrong */
static hlsgen_difference difference;
static uint32_t damaged; /* bytes of the Image in the shared memory, from its beginning */

/* Zeros in the shared memory, seen by the accelerator too. */
static void erase(uint32_t from, uint32_t to)
{
    uint32_t at;

    for (at = from / 4; at < to / 4; at++)
        port.memory[at] = 0;
    port.flush(0, port.memory + from / 4, to - from);
}

static int self_test(void)
{
    return hlsgen_self_test(&device, hlsgen_vectors, (size_t)(hlsgen_vectors_end - hlsgen_vectors), TICKS, &difference);
}

static int run(void)
{
    return hlsgen_run(&device, 0, TICKS);
}

/* Run with a word of the header changed in memory, behind the driver's back. */
static int run_with_header(uint32_t word, uint32_t flip)
{
    damaged = 64;
    port.memory[word] ^= flip;
    port.flush(0, port.memory, damaged);
    return run();
}

static int magic(void) { return run_with_header(HLSGEN_HEADER_MAGIC, 1); }
static int version(void) { return run_with_header(HLSGEN_HEADER_VERSION, 1); }
static int build(void) { return run_with_header(HLSGEN_HEADER_BUILD_ID, 1); }
static int truncated(void) { return run_with_header(HLSGEN_HEADER_TOTAL, 1u << 30); }
static int section(void) { return run_with_header(HLSGEN_HEADER_WEIGHTS, 1u << 28); }

static int window(void)
{
    /* The machine sees a window that ends before the output. */
    design.workspace_bytes = 0u - device.workspace + 64;
    return run();
}

static int with_faults(uint32_t faults)
{
    int code;

    board_faults(faults);
    code = run();
    board_faults(0);
    return code;
}

static int read_error(void) { return with_faults(READ_ERRORS); }
static int write_error(void) { return with_faults(WRITE_ERRORS); }

static int watchdog(void)
{
    const uint32_t usual = hlsgen_read(&device, HLSGEN_REGISTER_WATCHDOG);
    int code;

    hlsgen_write(&device, HLSGEN_REGISTER_WATCHDOG, SHORT_WATCHDOG);
    code = with_faults(SILENCE);
    hlsgen_write(&device, HLSGEN_REGISTER_WATCHDOG, usual);
    return code;
}

static int alignment(void)
{
    device.input += 4;
    return run();
}

static int aborted(void)
{
    const int code = hlsgen_start(&device, 0);

    hlsgen_write(&device, HLSGEN_REGISTER_CONTROL, HLSGEN_CONTROL_ABORT);
    return code == HLSGEN_OK ? hlsgen_wait(&device, TICKS) : code;
}

static int task(void)
{
    design.tasks = TASKS + 1;
    return hlsgen_run(&device, TASKS, TICKS);
}

static int limit(void)
{
    design.cycle_limit = 100;
    return run();
}

static int hardware(void)
{
    design.build_id ^= 1;
    return hlsgen_open(&device, &port, &design);
}

static int memory(void)
{
    int code;

    port.address += 4;
    code = hlsgen_open(&device, &port, &design);
    if (code != HLSGEN_ERROR_MEMORY)
        return HLSGEN_OK;
    port.address -= 4;
    port.bytes--;
    return hlsgen_open(&device, &port, &design);
}

static int image_size(void)
{
    return hlsgen_load(&device, hlsgen_image, (size_t)(hlsgen_image_end - hlsgen_image) - 1);
}

static int image_header(void)
{
    damaged = 64;
    port.memory[HLSGEN_HEADER_OUTPUT_BYTES] ^= 64;
    return hlsgen_load(&device, (const void *)(uintptr_t)port.memory, design.image_bytes); /* where it lies */
}

static int image_crc(void)
{
    damaged = design.image_bytes;
    port.memory[design.image_bytes / 4 - 1] ^= 1u << 31;
    port.flush(0, port.memory, design.image_bytes);
    return hlsgen_check(&device);
}

static int not_loaded(void)
{
    return hlsgen_open(&device, &port, &design) == HLSGEN_OK ? run() : HLSGEN_OK;
}

static int argument(void)
{
    hlsgen_expert_counters counters;
    int16_t values[1];

    if (hlsgen_get(&device, design.tasks, values) != HLSGEN_ERROR_ARGUMENT)
        return HLSGEN_OK;
    if (hlsgen_count_expert(&device, design.experts, &counters) != HLSGEN_ERROR_ARGUMENT)
        return HLSGEN_OK;
    return hlsgen_run(&device, design.tasks, TICKS);
}

static int busy(void)
{
    static const int8_t pixels[HLSGEN_INPUT_ELEMENTS];
    const int code = hlsgen_start(&device, 0);

    if (code != HLSGEN_OK || hlsgen_start(&device, 0) != HLSGEN_ERROR_BUSY)
        return HLSGEN_OK;
    return hlsgen_poll(&device) == HLSGEN_ERROR_BUSY ? hlsgen_put(&device, pixels) : HLSGEN_OK;
}

static int idle(void)
{
    hlsgen_write(&device, HLSGEN_REGISTER_CONTROL, HLSGEN_CONTROL_CLEAR);
    return hlsgen_wait(&device, TICKS);
}

static int timeout(void)
{
    const int code = hlsgen_run(&device, 0, 1);

    /* The machine says what ended the image. */
    return hlsgen_read(&device, HLSGEN_REGISTER_ERROR) == HLSGEN_ERROR_ABORTED ? code : HLSGEN_OK;
}

static int stuck(void)
{
    int code;

    board_faults(SILENCE); /* and a watchdog that waits for long */
    code = hlsgen_run(&device, 0, 1);
    board_faults(0);
    return code;
}

static int vectors(void)
{
    const size_t bytes = (size_t)(hlsgen_vectors_end - hlsgen_vectors);

    if (hlsgen_self_test(&device, hlsgen_vectors, bytes - 64, TICKS, 0) != HLSGEN_ERROR_VECTORS)
        return HLSGEN_OK;
    design.header[HLSGEN_HEADER_CRC] ^= 1;
    return hlsgen_self_test(&device, hlsgen_vectors, bytes, TICKS, 0);
}

static int different(void)
{
    int code;

    damaged = design.image_bytes;
    port.memory[design.header[HLSGEN_HEADER_WEIGHTS] / 4] ^= 0x55555555u;
    port.flush(0, port.memory, design.image_bytes);
    code = self_test();
    return difference.expected != difference.found ? code : HLSGEN_OK;
}

/* What forgets its cache gives wrong integers: the input that is not flushed, the output that is not invalidated. */
static void forget(void *context, const volatile void *start, size_t bytes)
{
    (void)context;
    (void)start;
    (void)bytes;
}

static int without_flush(void)
{
    erase(device.input, device.output);
    device.port.flush = forget;
    return self_test();
}

static int without_invalidate(void)
{
    erase(device.output, device.workspace);
    device.port.invalidate = forget;
    return self_test();
}

static const struct provocation {
    int code;
    int (*provoke)(void);
} provocations[] = {
    {HLSGEN_ERROR_MAGIC, magic},
    {HLSGEN_ERROR_VERSION, version},
    {HLSGEN_ERROR_BUILD, build},
    {HLSGEN_ERROR_TRUNCATED, truncated},
    {HLSGEN_ERROR_SECTION, section},
    {HLSGEN_ERROR_WINDOW, window},
    {HLSGEN_ERROR_READ, read_error},
    {HLSGEN_ERROR_WRITE, write_error},
    {HLSGEN_ERROR_WATCHDOG, watchdog},
    {HLSGEN_ERROR_ALIGNMENT, alignment},
    {HLSGEN_ERROR_ABORTED, aborted},
    {HLSGEN_ERROR_TASK, task},
    {HLSGEN_ERROR_LIMIT, limit},
    {HLSGEN_ERROR_HARDWARE, hardware},
    {HLSGEN_ERROR_MEMORY, memory},
    {HLSGEN_ERROR_IMAGE_SIZE, image_size},
    {HLSGEN_ERROR_IMAGE_HEADER, image_header},
    {HLSGEN_ERROR_IMAGE_CRC, image_crc},
    {HLSGEN_ERROR_NOT_LOADED, not_loaded},
    {HLSGEN_ERROR_ARGUMENT, argument},
    {HLSGEN_ERROR_BUSY, busy},
    {HLSGEN_ERROR_IDLE, idle},
    {HLSGEN_ERROR_TIMEOUT, timeout},
    {HLSGEN_ERROR_STUCK, stuck},
    {HLSGEN_ERROR_VECTORS, vectors},
    {HLSGEN_ERROR_DIFFERENT, different},
    {HLSGEN_ERROR_DIFFERENT, without_flush},
    {HLSGEN_ERROR_DIFFERENT, without_invalidate},
};

static int fail(uint32_t number, const char *what, int code)
{
    board_text("provocation ");
    board_number((int32_t)number);
    board_text(what);
    board_number(code);
    board_text(": ");
    board_text(hlsgen_text(code));
    board_text("\n");
    return 1;
}

/* All as it must be, whatever was before. */
static int begin(void)
{
    const uint32_t *source = (const uint32_t *)(uintptr_t)hlsgen_image;
    uint32_t at;
    int code;

    port = board_port();
    design = hlsgen_model;
    for (at = 0; at < damaged / 4; at++)
        port.memory[at] = source[at];
    damaged = 0;
    code = hlsgen_open(&device, &port, &design);
    if (code == HLSGEN_ERROR_BUSY)
        code = hlsgen_abort(&device, TICKS);
    return code == HLSGEN_OK ? hlsgen_adopt(&device) : code;
}

int main(void)
{
    uint32_t at;
    int code = begin();

    if (code == HLSGEN_OK)
        code = self_test();
    if (code != HLSGEN_OK)
        return fail(0, ", before it: ", code);
    for (at = 0; at < sizeof provocations / sizeof provocations[0]; at++) {
        code = provocations[at].provoke();
        if (code != provocations[at].code)
            return fail(at, " gave ", code);
        board_word((uint32_t)code);
        code = begin();
        if (code == HLSGEN_OK)
            code = self_test();
        if (code != HLSGEN_OK)
            return fail(at, ", after it: ", code);
    }
    return 0;
}
