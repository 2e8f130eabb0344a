// SPDX-License-Identifier: Apache-2.0
// Behaviour of the ECP5's 18 kbit block RAM as far as synthesis uses it here: widths of 1 to 18 bits, or words of
// 36 bits that are written by port A and read by port B with the data pins of both; byte enables of wide words, a
// read that gives the old word while the other port writes it, enables, synchronous resets, output registers. The
// family's cell library has only its outline. Whether the clock of port A or B moves the output register of port A
// where words have 36 bits is not known for sure: here it is port A's, so that a netlist must give it both.
module DP16KD (
    input DIA0, DIA1, DIA2, DIA3, DIA4, DIA5, DIA6, DIA7, DIA8,
    input DIA9, DIA10, DIA11, DIA12, DIA13, DIA14, DIA15, DIA16, DIA17,
    input ADA0, ADA1, ADA2, ADA3, ADA4, ADA5, ADA6, ADA7, ADA8,
    input ADA9, ADA10, ADA11, ADA12, ADA13,
    input CLKA, CEA, OCEA, WEA, RSTA, CSA0, CSA1, CSA2,
    output DOA0, DOA1, DOA2, DOA3, DOA4, DOA5, DOA6, DOA7, DOA8,
    output DOA9, DOA10, DOA11, DOA12, DOA13, DOA14, DOA15, DOA16, DOA17,
    input DIB0, DIB1, DIB2, DIB3, DIB4, DIB5, DIB6, DIB7, DIB8,
    input DIB9, DIB10, DIB11, DIB12, DIB13, DIB14, DIB15, DIB16, DIB17,
    input ADB0, ADB1, ADB2, ADB3, ADB4, ADB5, ADB6, ADB7, ADB8,
    input ADB9, ADB10, ADB11, ADB12, ADB13,
    input CLKB, CEB, OCEB, WEB, RSTB, CSB0, CSB1, CSB2,
    output DOB0, DOB1, DOB2, DOB3, DOB4, DOB5, DOB6, DOB7, DOB8,
    output DOB9, DOB10, DOB11, DOB12, DOB13, DOB14, DOB15, DOB16, DOB17
);
    parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18, REGMODE_A = "NOREG", REGMODE_B = "NOREG";
    parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC", WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL";
    parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000", GSR = "ENABLED", INIT_DATA = "STATIC";
    parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB";
    parameter [319:0] INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0;
    parameter [319:0] INITVAL_04 = 0, INITVAL_05 = 0, INITVAL_06 = 0, INITVAL_07 = 0;
    parameter [319:0] INITVAL_08 = 0, INITVAL_09 = 0, INITVAL_0A = 0, INITVAL_0B = 0;
    parameter [319:0] INITVAL_0C = 0, INITVAL_0D = 0, INITVAL_0E = 0, INITVAL_0F = 0;
    parameter [319:0] INITVAL_10 = 0, INITVAL_11 = 0, INITVAL_12 = 0, INITVAL_13 = 0;
    parameter [319:0] INITVAL_14 = 0, INITVAL_15 = 0, INITVAL_16 = 0, INITVAL_17 = 0;
    parameter [319:0] INITVAL_18 = 0, INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B = 0;
    parameter [319:0] INITVAL_1C = 0, INITVAL_1D = 0, INITVAL_1E = 0, INITVAL_1F = 0;
    parameter [319:0] INITVAL_20 = 0, INITVAL_21 = 0, INITVAL_22 = 0, INITVAL_23 = 0;
    parameter [319:0] INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 = 0, INITVAL_27 = 0;
    parameter [319:0] INITVAL_28 = 0, INITVAL_29 = 0, INITVAL_2A = 0, INITVAL_2B = 0;
    parameter [319:0] INITVAL_2C = 0, INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0;
    parameter [319:0] INITVAL_30 = 0, INITVAL_31 = 0, INITVAL_32 = 0, INITVAL_33 = 0;
    parameter [319:0] INITVAL_34 = 0, INITVAL_35 = 0, INITVAL_36 = 0, INITVAL_37 = 0;
    parameter [319:0] INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0, INITVAL_3B = 0;
    parameter [319:0] INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0;

    reg [8:0] bytes [0:2047];
    localparam [20479:0] CONTENTS = {
        INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39, INITVAL_38,
        INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32, INITVAL_31, INITVAL_30,
        INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28,
        INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24, INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20,
        INITVAL_1F, INITVAL_1E, INITVAL_1D, INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18,
        INITVAL_17, INITVAL_16, INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10,
        INITVAL_0F, INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
        INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01, INITVAL_00};
    integer i;
    initial for (i = 0; i < 1024; i = i + 1) {bytes[2 * i + 1], bytes[2 * i]} = CONTENTS[20 * i +: 18];

    wire [17:0] dia = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
        DIA4, DIA3, DIA2, DIA1, DIA0};
    wire [17:0] dib = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
        DIB4, DIB3, DIB2, DIB1, DIB0};
    wire [13:0] ada = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1,
        ADA0};
    wire [13:0] adb = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1,
        ADB0};
    reg [17:0] a_q = 0, b_q = 0, a_out = 0, b_out = 0;
    assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4,
        DOA3, DOA2, DOA1, DOA0} = REGMODE_A == "OUTREG" ? a_out : a_q;
    assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4,
        DOB3, DOB2, DOB1, DOB0} = REGMODE_B == "OUTREG" ? b_out : b_q;


    localparam BITS_A = DATA_WIDTH_A < 9 ? DATA_WIDTH_A : 1, BITS_B = DATA_WIDTH_B < 9 ? DATA_WIDTH_B : 1;
    // Words narrower than a byte have no ninth bit.
    wire [2:0] bit_a = ada[2:0] & ~(BITS_A - 1), bit_b = adb[2:0] & ~(BITS_B - 1);
    generate
        if (DATA_WIDTH_B == 36) begin : wide
            always @(posedge CLKB)
                if (RSTB) {b_q, a_q} <= 0;
                else if (CEB) {b_q, a_q} <= {bytes[{adb[13:5], 2'd3}], bytes[{adb[13:5], 2'd2}],
                                             bytes[{adb[13:5], 2'd1}], bytes[{adb[13:5], 2'd0}]};
        end else begin : narrow
            always @(posedge CLKA)
                if (RSTA) a_q <= 0;
                else if (CEA && !(WEA && WRITEMODE_A == "NORMAL")) a_q <=
                    DATA_WIDTH_A == 18 ? {bytes[{ada[13:4], 1'b1}], bytes[{ada[13:4], 1'b0}]} :
                    DATA_WIDTH_A == 9 ? {9'd0, bytes[ada[13:3]]} : {17'd0, bytes[ada[13:3]][bit_a +: BITS_A]};
            always @(posedge CLKB)
                if (RSTB) b_q <= 0;
                else if (CEB && !(WEB && WRITEMODE_B == "NORMAL")) b_q <=
                    DATA_WIDTH_B == 18 ? {bytes[{adb[13:4], 1'b1}], bytes[{adb[13:4], 1'b0}]} :
                    DATA_WIDTH_B == 9 ? {9'd0, bytes[adb[13:3]]} : {17'd0, bytes[adb[13:3]][bit_b +: BITS_B]};
        end
        if (DATA_WIDTH_A >= 18) begin : words_a
            always @(posedge CLKA) if (CEA && WEA) begin
                if (ada[0]) bytes[{ada[13:5], DATA_WIDTH_A == 18 && ada[4], 1'b0}] <= dia[8:0];
                if (ada[1]) bytes[{ada[13:5], DATA_WIDTH_A == 18 && ada[4], 1'b1}] <= dia[17:9];
                if (ada[2] && DATA_WIDTH_A == 36) bytes[{ada[13:5], 2'd2}] <= dib[8:0];
                if (ada[3] && DATA_WIDTH_A == 36) bytes[{ada[13:5], 2'd3}] <= dib[17:9];
            end
        end else if (DATA_WIDTH_A == 9) begin : bytes_a
            always @(posedge CLKA) if (CEA && WEA) bytes[ada[13:3]] <= dia[8:0];
        end else begin : bits_a
            always @(posedge CLKA) if (CEA && WEA) bytes[ada[13:3]][bit_a +: BITS_A] <= dia[BITS_A-1:0];
        end
        if (DATA_WIDTH_B == 18) begin : words_b
            always @(posedge CLKB) if (CEB && WEB) begin
                if (adb[0]) bytes[{adb[13:4], 1'b0}] <= dib[8:0];
                if (adb[1]) bytes[{adb[13:4], 1'b1}] <= dib[17:9];
            end
        end else if (DATA_WIDTH_B == 9) begin : bytes_b
            always @(posedge CLKB) if (CEB && WEB) bytes[adb[13:3]] <= dib[8:0];
        end else if (DATA_WIDTH_B < 9) begin : bits_b
            always @(posedge CLKB) if (CEB && WEB) bytes[adb[13:3]][bit_b +: BITS_B] <= dib[BITS_B-1:0];
        end
    endgenerate
    always @(posedge CLKA) if (RSTA) a_out <= 0; else if (OCEA) a_out <= a_q;
    always @(posedge CLKB) if (RSTB) b_out <= 0; else if (OCEB) b_out <= b_q;
endmodule
