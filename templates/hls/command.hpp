// SPDX-License-Identifier: Apache-2.0
// Commands: what the machine executes. The fields' meaning stands in docs/design.md, "Commands".
//
// Fields that only order overlapping stages (depends, depends_on, operand_depends_on) and `last` are not
// here: the C++ runs the stages one after the other, and its end is the end of the program.
#pragma once

#include <cstdint>

namespace hlsgen {

/// How LOAD makes operand rows.
enum class Load : std::uint8_t { rows = 0, layer_norm = 1, patches = 2, pool = 3, pool_norm = 4, attention = 5 };

/// What MULTIPLY multiplies the operand rows by.
enum class Product : std::uint8_t { weights = 0, attention = 1 };

/// What DRAIN does with an accumulator row.
enum class Drain : std::uint8_t { requantize = 0, activation = 1, add = 2, attention = 3, combine = 4 };

/// Where DRAIN writes.
enum class Target : std::uint8_t { features = 0, keys = 1, values = 2, residual = 3, output = 4, queues = 5 };

struct Command {
    Load load = Load::rows;
    Product product = Product::weights;
    Drain drain = Drain::requantize;
    Target target = Target::features;
    std::uint8_t stream_addend = 0;
    std::uint8_t activation_bank = 0;
    std::uint8_t exp_bank = 0;
    std::uint16_t rows = 1;
    std::uint16_t tiles = 1;
    std::uint8_t tail_rows = 1;
    std::uint16_t k_words = 1;
    std::uint16_t k_steps = 1;
    std::uint16_t groups = 1;
    std::uint16_t blocks = 1;
    std::uint16_t extra = 0;
    std::int32_t source = 0;
    std::uint16_t source_stride = 0;
    std::int32_t target_base = 0;
    std::uint16_t target_stride = 0;
    std::int32_t addend_base = 0;
    std::int16_t low = -128;
    std::int16_t high = 127;
    std::uint16_t norm_width = 0;
    std::uint64_t norm_epsilon = 0;
    std::uint16_t norm_gain = 0;
    std::uint8_t norm_gain_shift = 0;
    std::uint16_t pool_rows = 0;
    std::uint8_t pool_shift = 0;
    std::uint8_t heads = 0;
    std::uint16_t keys = 0;
    std::uint16_t head_words = 0;
    std::int32_t head_stride = 0;
    std::uint16_t head_steps = 0;
    std::int32_t value_stride = 0;
    std::uint16_t exp_words = 0;
    std::uint16_t exp_steps = 0;
    std::uint16_t logit_multiplier = 0;
    std::uint8_t logit_shift = 0;
    std::uint16_t context_multiplier = 0;
    std::uint8_t context_shift = 0;
    std::uint8_t patch_height = 0;
    std::uint8_t patch_width = 0;
    std::uint8_t patch_channels = 0;
    std::uint16_t patch_columns = 0;
    std::uint8_t patch_prefix = 0;
    std::uint16_t row_words = 0;
    std::uint16_t span = 0;
    std::uint16_t passes = 0;
    std::int32_t head_units = 0;
    std::uint16_t tasks = 0;
    std::uint8_t expert = 0;
    std::uint8_t gather = 0;
    std::int32_t queue_base = 0;
    std::uint8_t experts = 0;
    std::uint8_t choices = 0;
    std::uint8_t gate_mode = 0;
    std::uint8_t gate_shift = 0;
    std::int32_t weight_units = 0;
    std::int32_t weight_words = 0;
    std::uint16_t constant_units = 0;
    std::uint16_t constant_words = 0;
};

}  // namespace hlsgen
