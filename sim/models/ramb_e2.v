// SPDX-License-Identifier: Apache-2.0
// Behaviour of UltraScale+ block RAMs of 18 and 36 kbit as UG573 states it: two ports of 1 to 9, 18 or 36 bits, or
// simple dual port of twice the port's width, read by port A and written by port B with the data pins of both; byte
// enables; READ_FIRST, WRITE_FIRST, NO_CHANGE; output registers; synchronous resets. Not modelled, and refused where
// a netlist is read: cascades, error correction, address enables, sleep, two clocks.
// A read of bytes that the other port writes in the same cycle gives the old ones only where that port is
// READ_FIRST; elsewhere the chip promises nothing, and this model gives the old ones inverted.
module RAMB_E2 #(
    parameter LANES = 4, ADDRESS = 15, DOA_REG = 1, DOB_REG = 1,
    parameter READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0,
    parameter WRITE_MODE_A = "NO_CHANGE", WRITE_MODE_B = "NO_CHANGE",
    parameter [9*LANES-1:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0,
    parameter [8192*LANES-1:0] CONTENTS = 0,
    parameter [1024*LANES-1:0] PARITIES = 0
) (
    input [ADDRESS-1:0] addra, addrb,
    input clka, clkb, ena, enb, regcea, regceb, rstrama, rstramb, rstrega, rstregb,
    input [8*LANES-1:0] dina, dinb,
    input [LANES-1:0] dinpa, dinpb, wea,
    input [2*LANES-1:0] web,
    output [8*LANES-1:0] douta, doutb,
    output [LANES-1:0] doutpa, doutpb
);
    localparam SIZE = 1024 * LANES, ALL = 18 * LANES;
    localparam WIDE_READ = READ_WIDTH_A == ALL, WIDE_WRITE = WRITE_WIDTH_B == ALL;
    reg [8:0] bytes [0:SIZE-1];
    integer n;
    initial for (n = 0; n < SIZE; n = n + 1) bytes[n] = {PARITIES[n], CONTENTS[8 * n +: 8]};

    function integer lanes(input integer width);
        lanes = width < 18 ? 1 : width / 9;
    endfunction
    // Data pins and parity pins as bytes of nine bits.
    function [9*LANES-1:0] joined(input [8*LANES-1:0] data, input [LANES-1:0] parity);
        integer i;
        for (i = 0; i < LANES; i = i + 1) joined[9 * i +: 9] = {parity[i], data[8 * i +: 8]};
    endfunction
    // Values of a parameter: all parities above all data.
    function [9*LANES-1:0] ordered(input [9*LANES-1:0] value);
        ordered = joined(value[8*LANES-1:0], value[9*LANES-1:8*LANES]);
    endfunction
    function [ADDRESS-4:0] first(input [ADDRESS-1:0] address, input integer width);
        first = address[ADDRESS-1:3] & ~(lanes(width) - 1);
    endfunction
    function integer least(input [ADDRESS-1:0] address, input integer width);
        least = width < 9 ? {29'd0, address[2:0]} & ~(width - 1) : 0;
    endfunction

    // What each port writes, as byte enables from its first byte on, and what it reads before that.
    wire [ALL-1:0] data_a = {{9*LANES{1'b0}}, joined(dina, dinpa)};
    wire [ALL-1:0] data_b = WIDE_WRITE ? {joined(dinb, dinpb), joined(dina, dinpa)} :
                                         {{9*LANES{1'b0}}, joined(dinb, dinpb)};
    wire [2*LANES-1:0] write_a = ena && WRITE_WIDTH_A != 0 ? {{LANES{1'b0}}, wea} : 0;
    wire [2*LANES-1:0] write_b = enb && WRITE_WIDTH_B != 0 ? web : 0;

    // Whether bits of one byte that a port reads are written by the other.
    function clash(input integer index, input [ADDRESS-1:0] read, input integer read_width,
                   input [ADDRESS-1:0] write, input integer write_width, input [2*LANES-1:0] enables);
        integer lane;
        begin
            lane = index - {{35-ADDRESS{1'b0}}, first(write, write_width)};
            clash = lane >= 0 && lane < lanes(write_width) && enables[lane];
            if (read_width < 9 && write_width < 9)
                clash = clash && least(read, read_width) < least(write, write_width) + write_width &&
                        least(write, write_width) < least(read, read_width) + read_width;
        end
    endfunction
    // The word that a port sees: its own new bytes where it is WRITE_FIRST, the other port's clashes inverted.
    function [ALL-1:0] seen(input [ADDRESS-1:0] address, input integer width, input own_first,
                            input [2*LANES-1:0] own, input [ALL-1:0] data, input integer own_width,
                            input other_undefined, input [ADDRESS-1:0] other, input integer other_width,
                            input [2*LANES-1:0] enables);
        integer i;
        reg [8:0] one;
        begin
            seen = 0;
            for (i = 0; i < lanes(width); i = i + 1) begin
                one = bytes[first(address, width) + i];
                if (own_first && own[i])
                    if (own_width < 9) one = data[8:0] << least(address, width); else one = data[9 * i +: 9];
                if (other_undefined && clash({{35-ADDRESS{1'b0}}, first(address, width)} + i, address, width, other,
                                             other_width, enables)) one = ~one;
                seen[9 * i +: 9] = one;
            end
            if (width < 9) seen = (seen >> least(address, width)) & ((1 << width) - 1);
        end
    endfunction

    reg [ALL-1:0] a_q = {ordered(INIT_B), ordered(INIT_A)}, b_q = {{9*LANES{1'b0}}, ordered(INIT_B)};
    reg [ALL-1:0] a_out = {ordered(INIT_B), ordered(INIT_A)}, b_out = {{9*LANES{1'b0}}, ordered(INIT_B)};
    wire [ALL-1:0] a = DOA_REG != 0 ? a_out : a_q, b = DOB_REG != 0 ? b_out : b_q;
    genvar g;
    generate
        for (g = 0; g < LANES; g = g + 1) begin : pins
            assign {doutpa[g], douta[8*g +: 8]} = a[9*g +: 9];
            assign {doutpb[g], doutb[8*g +: 8]} = WIDE_READ ? a[9*(LANES+g) +: 9] : b[9*g +: 9];
        end
        if (READ_WIDTH_A != 0) begin : read_a
            always @(posedge clka) if (ena) begin
                if (rstrama) a_q <= {ordered(SRVAL_B), ordered(SRVAL_A)};
                else if (WRITE_MODE_A != "NO_CHANGE" || write_a == 0)
                    a_q <= seen(addra, READ_WIDTH_A, WRITE_MODE_A == "WRITE_FIRST", write_a, data_a, WRITE_WIDTH_A,
                                WRITE_MODE_B != "READ_FIRST", addrb, WRITE_WIDTH_B, write_b);
            end
            always @(posedge clka)
                if (rstrega) a_out <= {ordered(SRVAL_B), ordered(SRVAL_A)}; else if (regcea) a_out <= a_q;
        end
        if (READ_WIDTH_B != 0) begin : read_b
            always @(posedge clkb) if (enb) begin
                if (rstramb) b_q <= {{9*LANES{1'b0}}, ordered(SRVAL_B)};
                else if (WRITE_MODE_B != "NO_CHANGE" || write_b == 0)
                    b_q <= seen(addrb, READ_WIDTH_B, WRITE_MODE_B == "WRITE_FIRST", write_b, data_b, WRITE_WIDTH_B,
                                WRITE_MODE_A != "READ_FIRST", addra, WRITE_WIDTH_A, write_a);
            end
            always @(posedge clkb)
                if (rstregb) b_out <= {{9*LANES{1'b0}}, ordered(SRVAL_B)}; else if (regceb) b_out <= b_q;
        end
        if (WRITE_WIDTH_A >= 9) begin : words_a
            for (g = 0; g < lanes(WRITE_WIDTH_A); g = g + 1) begin : lane
                always @(posedge clka) if (write_a[g]) bytes[first(addra, WRITE_WIDTH_A) + g] <= data_a[9*g +: 9];
            end
        end else if (WRITE_WIDTH_A != 0) begin : bits_a
            always @(posedge clka) if (write_a[0])
                bytes[first(addra, 9)][least(addra, WRITE_WIDTH_A) +: WRITE_WIDTH_A] <= data_a[WRITE_WIDTH_A-1:0];
        end
        if (WRITE_WIDTH_B >= 9) begin : words_b
            for (g = 0; g < lanes(WRITE_WIDTH_B); g = g + 1) begin : lane
                always @(posedge clkb) if (write_b[g]) bytes[first(addrb, WRITE_WIDTH_B) + g] <= data_b[9*g +: 9];
            end
        end else if (WRITE_WIDTH_B != 0) begin : bits_b
            always @(posedge clkb) if (write_b[0])
                bytes[first(addrb, 9)][least(addrb, WRITE_WIDTH_B) +: WRITE_WIDTH_B] <= data_b[WRITE_WIDTH_B-1:0];
        end
    endgenerate
    initial begin
        if (READ_WIDTH_A > 9 * LANES && !WIDE_READ) $fatal(1, "READ_WIDTH_A %0d", READ_WIDTH_A);
        if (READ_WIDTH_B > 9 * LANES || WRITE_WIDTH_A > 9 * LANES) 
            $fatal(1, "only port A reads and only port B writes wide words");
        if (WIDE_READ && (READ_WIDTH_B != 0 || DOB_REG != DOA_REG)) $fatal(1, "wide words take both ports' outputs");
        if (WIDE_WRITE && WRITE_WIDTH_A != 0) $fatal(1, "wide words take both ports' inputs");
        if (READ_WIDTH_A != 0 && WRITE_WIDTH_A != 0 && READ_WIDTH_A != WRITE_WIDTH_A && WRITE_MODE_A == "WRITE_FIRST")
            $fatal(1, "port A must read words as wide as it writes them where it is WRITE_FIRST");
        if (READ_WIDTH_B != 0 && WRITE_WIDTH_B != 0 && READ_WIDTH_B != WRITE_WIDTH_B && WRITE_MODE_B == "WRITE_FIRST")
            $fatal(1, "port B must read words as wide as it writes them where it is WRITE_FIRST");
    end
endmodule

module RAMB18E2 (
    input [13:0] ADDRARDADDR, ADDRBWRADDR,
    input ADDRENA, ADDRENB, CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
    input RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB, SLEEP,
    input [15:0] DINADIN, DINBDIN,
    input [1:0] DINPADINP, DINPBDINP,
    input [1:0] WEA,
    input [3:0] WEBWE,
    output [15:0] DOUTADOUT, DOUTBDOUT,
    output [1:0] DOUTPADOUTP, DOUTPBDOUTP
);
    parameter DOA_REG = 1, DOB_REG = 1;
    parameter READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0;
    parameter WRITE_MODE_A = "NO_CHANGE", WRITE_MODE_B = "NO_CHANGE";
    parameter [17:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0;
    parameter [255:0] INIT_00 = 0, INIT_01 = 0, INIT_02 = 0, INIT_03 = 0;
    parameter [255:0] INIT_04 = 0, INIT_05 = 0, INIT_06 = 0, INIT_07 = 0;
    parameter [255:0] INIT_08 = 0, INIT_09 = 0, INIT_0A = 0, INIT_0B = 0;
    parameter [255:0] INIT_0C = 0, INIT_0D = 0, INIT_0E = 0, INIT_0F = 0;
    parameter [255:0] INIT_10 = 0, INIT_11 = 0, INIT_12 = 0, INIT_13 = 0;
    parameter [255:0] INIT_14 = 0, INIT_15 = 0, INIT_16 = 0, INIT_17 = 0;
    parameter [255:0] INIT_18 = 0, INIT_19 = 0, INIT_1A = 0, INIT_1B = 0;
    parameter [255:0] INIT_1C = 0, INIT_1D = 0, INIT_1E = 0, INIT_1F = 0;
    parameter [255:0] INIT_20 = 0, INIT_21 = 0, INIT_22 = 0, INIT_23 = 0;
    parameter [255:0] INIT_24 = 0, INIT_25 = 0, INIT_26 = 0, INIT_27 = 0;
    parameter [255:0] INIT_28 = 0, INIT_29 = 0, INIT_2A = 0, INIT_2B = 0;
    parameter [255:0] INIT_2C = 0, INIT_2D = 0, INIT_2E = 0, INIT_2F = 0;
    parameter [255:0] INIT_30 = 0, INIT_31 = 0, INIT_32 = 0, INIT_33 = 0;
    parameter [255:0] INIT_34 = 0, INIT_35 = 0, INIT_36 = 0, INIT_37 = 0;
    parameter [255:0] INIT_38 = 0, INIT_39 = 0, INIT_3A = 0, INIT_3B = 0;
    parameter [255:0] INIT_3C = 0, INIT_3D = 0, INIT_3E = 0, INIT_3F = 0;
    parameter [255:0] INITP_00 = 0, INITP_01 = 0, INITP_02 = 0, INITP_03 = 0;
    parameter [255:0] INITP_04 = 0, INITP_05 = 0, INITP_06 = 0, INITP_07 = 0;
    RAMB_E2 #(
        .LANES(2), .ADDRESS(14), .DOA_REG(DOA_REG), .DOB_REG(DOB_REG),
        .READ_WIDTH_A(READ_WIDTH_A), .READ_WIDTH_B(READ_WIDTH_B),
        .WRITE_WIDTH_A(WRITE_WIDTH_A), .WRITE_WIDTH_B(WRITE_WIDTH_B),
        .WRITE_MODE_A(WRITE_MODE_A), .WRITE_MODE_B(WRITE_MODE_B),
        .INIT_A(INIT_A), .INIT_B(INIT_B), .SRVAL_A(SRVAL_A), .SRVAL_B(SRVAL_B),
        .CONTENTS({
            INIT_3F, INIT_3E, INIT_3D, INIT_3C, INIT_3B, INIT_3A, INIT_39, INIT_38,
            INIT_37, INIT_36, INIT_35, INIT_34, INIT_33, INIT_32, INIT_31, INIT_30,
            INIT_2F, INIT_2E, INIT_2D, INIT_2C, INIT_2B, INIT_2A, INIT_29, INIT_28,
            INIT_27, INIT_26, INIT_25, INIT_24, INIT_23, INIT_22, INIT_21, INIT_20,
            INIT_1F, INIT_1E, INIT_1D, INIT_1C, INIT_1B, INIT_1A, INIT_19, INIT_18,
            INIT_17, INIT_16, INIT_15, INIT_14, INIT_13, INIT_12, INIT_11, INIT_10,
            INIT_0F, INIT_0E, INIT_0D, INIT_0C, INIT_0B, INIT_0A, INIT_09, INIT_08,
            INIT_07, INIT_06, INIT_05, INIT_04, INIT_03, INIT_02, INIT_01, INIT_00}),
        .PARITIES({
            INITP_07, INITP_06, INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00})
    ) ram (
        .addra(ADDRARDADDR), .addrb(ADDRBWRADDR), .clka(CLKARDCLK), .clkb(CLKBWRCLK), .ena(ENARDEN), .enb(ENBWREN),
        .regcea(REGCEAREGCE), .regceb(REGCEB), .rstrama(RSTRAMARSTRAM), .rstramb(RSTRAMB),
        .rstrega(RSTREGARSTREG), .rstregb(RSTREGB), .dina(DINADIN), .dinb(DINBDIN), .dinpa(DINPADINP),
        .dinpb(DINPBDINP), .wea(WEA), .web(WEBWE), .douta(DOUTADOUT), .doutb(DOUTBDOUT), .doutpa(DOUTPADOUTP),
        .doutpb(DOUTPBDOUTP)
    );
endmodule

module RAMB36E2 (
    input [14:0] ADDRARDADDR, ADDRBWRADDR,
    input ADDRENA, ADDRENB, CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
    input RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB, SLEEP,
    input [31:0] DINADIN, DINBDIN,
    input [3:0] DINPADINP, DINPBDINP,
    input [3:0] WEA,
    input [7:0] WEBWE,
    output [31:0] DOUTADOUT, DOUTBDOUT,
    output [3:0] DOUTPADOUTP, DOUTPBDOUTP
);
    parameter DOA_REG = 1, DOB_REG = 1;
    parameter READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0;
    parameter WRITE_MODE_A = "NO_CHANGE", WRITE_MODE_B = "NO_CHANGE";
    parameter [35:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0;
    parameter [255:0] INIT_00 = 0, INIT_01 = 0, INIT_02 = 0, INIT_03 = 0;
    parameter [255:0] INIT_04 = 0, INIT_05 = 0, INIT_06 = 0, INIT_07 = 0;
    parameter [255:0] INIT_08 = 0, INIT_09 = 0, INIT_0A = 0, INIT_0B = 0;
    parameter [255:0] INIT_0C = 0, INIT_0D = 0, INIT_0E = 0, INIT_0F = 0;
    parameter [255:0] INIT_10 = 0, INIT_11 = 0, INIT_12 = 0, INIT_13 = 0;
    parameter [255:0] INIT_14 = 0, INIT_15 = 0, INIT_16 = 0, INIT_17 = 0;
    parameter [255:0] INIT_18 = 0, INIT_19 = 0, INIT_1A = 0, INIT_1B = 0;
    parameter [255:0] INIT_1C = 0, INIT_1D = 0, INIT_1E = 0, INIT_1F = 0;
    parameter [255:0] INIT_20 = 0, INIT_21 = 0, INIT_22 = 0, INIT_23 = 0;
    parameter [255:0] INIT_24 = 0, INIT_25 = 0, INIT_26 = 0, INIT_27 = 0;
    parameter [255:0] INIT_28 = 0, INIT_29 = 0, INIT_2A = 0, INIT_2B = 0;
    parameter [255:0] INIT_2C = 0, INIT_2D = 0, INIT_2E = 0, INIT_2F = 0;
    parameter [255:0] INIT_30 = 0, INIT_31 = 0, INIT_32 = 0, INIT_33 = 0;
    parameter [255:0] INIT_34 = 0, INIT_35 = 0, INIT_36 = 0, INIT_37 = 0;
    parameter [255:0] INIT_38 = 0, INIT_39 = 0, INIT_3A = 0, INIT_3B = 0;
    parameter [255:0] INIT_3C = 0, INIT_3D = 0, INIT_3E = 0, INIT_3F = 0;
    parameter [255:0] INIT_40 = 0, INIT_41 = 0, INIT_42 = 0, INIT_43 = 0;
    parameter [255:0] INIT_44 = 0, INIT_45 = 0, INIT_46 = 0, INIT_47 = 0;
    parameter [255:0] INIT_48 = 0, INIT_49 = 0, INIT_4A = 0, INIT_4B = 0;
    parameter [255:0] INIT_4C = 0, INIT_4D = 0, INIT_4E = 0, INIT_4F = 0;
    parameter [255:0] INIT_50 = 0, INIT_51 = 0, INIT_52 = 0, INIT_53 = 0;
    parameter [255:0] INIT_54 = 0, INIT_55 = 0, INIT_56 = 0, INIT_57 = 0;
    parameter [255:0] INIT_58 = 0, INIT_59 = 0, INIT_5A = 0, INIT_5B = 0;
    parameter [255:0] INIT_5C = 0, INIT_5D = 0, INIT_5E = 0, INIT_5F = 0;
    parameter [255:0] INIT_60 = 0, INIT_61 = 0, INIT_62 = 0, INIT_63 = 0;
    parameter [255:0] INIT_64 = 0, INIT_65 = 0, INIT_66 = 0, INIT_67 = 0;
    parameter [255:0] INIT_68 = 0, INIT_69 = 0, INIT_6A = 0, INIT_6B = 0;
    parameter [255:0] INIT_6C = 0, INIT_6D = 0, INIT_6E = 0, INIT_6F = 0;
    parameter [255:0] INIT_70 = 0, INIT_71 = 0, INIT_72 = 0, INIT_73 = 0;
    parameter [255:0] INIT_74 = 0, INIT_75 = 0, INIT_76 = 0, INIT_77 = 0;
    parameter [255:0] INIT_78 = 0, INIT_79 = 0, INIT_7A = 0, INIT_7B = 0;
    parameter [255:0] INIT_7C = 0, INIT_7D = 0, INIT_7E = 0, INIT_7F = 0;
    parameter [255:0] INITP_00 = 0, INITP_01 = 0, INITP_02 = 0, INITP_03 = 0;
    parameter [255:0] INITP_04 = 0, INITP_05 = 0, INITP_06 = 0, INITP_07 = 0;
    parameter [255:0] INITP_08 = 0, INITP_09 = 0, INITP_0A = 0, INITP_0B = 0;
    parameter [255:0] INITP_0C = 0, INITP_0D = 0, INITP_0E = 0, INITP_0F = 0;
    RAMB_E2 #(
        .LANES(4), .ADDRESS(15), .DOA_REG(DOA_REG), .DOB_REG(DOB_REG),
        .READ_WIDTH_A(READ_WIDTH_A), .READ_WIDTH_B(READ_WIDTH_B),
        .WRITE_WIDTH_A(WRITE_WIDTH_A), .WRITE_WIDTH_B(WRITE_WIDTH_B),
        .WRITE_MODE_A(WRITE_MODE_A), .WRITE_MODE_B(WRITE_MODE_B),
        .INIT_A(INIT_A), .INIT_B(INIT_B), .SRVAL_A(SRVAL_A), .SRVAL_B(SRVAL_B),
        .CONTENTS({
            INIT_7F, INIT_7E, INIT_7D, INIT_7C, INIT_7B, INIT_7A, INIT_79, INIT_78,
            INIT_77, INIT_76, INIT_75, INIT_74, INIT_73, INIT_72, INIT_71, INIT_70,
            INIT_6F, INIT_6E, INIT_6D, INIT_6C, INIT_6B, INIT_6A, INIT_69, INIT_68,
            INIT_67, INIT_66, INIT_65, INIT_64, INIT_63, INIT_62, INIT_61, INIT_60,
            INIT_5F, INIT_5E, INIT_5D, INIT_5C, INIT_5B, INIT_5A, INIT_59, INIT_58,
            INIT_57, INIT_56, INIT_55, INIT_54, INIT_53, INIT_52, INIT_51, INIT_50,
            INIT_4F, INIT_4E, INIT_4D, INIT_4C, INIT_4B, INIT_4A, INIT_49, INIT_48,
            INIT_47, INIT_46, INIT_45, INIT_44, INIT_43, INIT_42, INIT_41, INIT_40,
            INIT_3F, INIT_3E, INIT_3D, INIT_3C, INIT_3B, INIT_3A, INIT_39, INIT_38,
            INIT_37, INIT_36, INIT_35, INIT_34, INIT_33, INIT_32, INIT_31, INIT_30,
            INIT_2F, INIT_2E, INIT_2D, INIT_2C, INIT_2B, INIT_2A, INIT_29, INIT_28,
            INIT_27, INIT_26, INIT_25, INIT_24, INIT_23, INIT_22, INIT_21, INIT_20,
            INIT_1F, INIT_1E, INIT_1D, INIT_1C, INIT_1B, INIT_1A, INIT_19, INIT_18,
            INIT_17, INIT_16, INIT_15, INIT_14, INIT_13, INIT_12, INIT_11, INIT_10,
            INIT_0F, INIT_0E, INIT_0D, INIT_0C, INIT_0B, INIT_0A, INIT_09, INIT_08,
            INIT_07, INIT_06, INIT_05, INIT_04, INIT_03, INIT_02, INIT_01, INIT_00}),
        .PARITIES({
            INITP_0F, INITP_0E, INITP_0D, INITP_0C, INITP_0B, INITP_0A, INITP_09, INITP_08,
            INITP_07, INITP_06, INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00})
    ) ram (
        .addra(ADDRARDADDR), .addrb(ADDRBWRADDR), .clka(CLKARDCLK), .clkb(CLKBWRCLK), .ena(ENARDEN), .enb(ENBWREN),
        .regcea(REGCEAREGCE), .regceb(REGCEB), .rstrama(RSTRAMARSTRAM), .rstramb(RSTRAMB),
        .rstrega(RSTREGARSTREG), .rstregb(RSTREGB), .dina(DINADIN), .dinb(DINBDIN), .dinpa(DINPADINP),
        .dinpb(DINPBDINP), .wea(WEA), .web(WEBWE), .douta(DOUTADOUT), .doutb(DOUTBDOUT), .doutpa(DOUTPADOUTP),
        .doutpb(DOUTPBDOUTP)
    );
endmodule
