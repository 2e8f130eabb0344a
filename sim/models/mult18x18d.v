// SPDX-License-Identifier: Apache-2.0
// Behaviour of the ECP5's 18x18 multiplier block as far as the generated RTL uses it: signed or unsigned
// operands, registers at the inputs, in the middle and at the output, enables at 1, resets at 0. The family's
// cell library has only its outline, so simulations of RTL made for that family need this file.
module MULT18X18D (
    input A0, input A1, input A2, input A3, input A4, input A5, input A6, input A7, input A8,
    input A9, input A10, input A11, input A12, input A13, input A14, input A15, input A16, input A17,
    input B0, input B1, input B2, input B3, input B4, input B5, input B6, input B7, input B8,
    input B9, input B10, input B11, input B12, input B13, input B14, input B15, input B16, input B17,
    input C0, input C1, input C2, input C3, input C4, input C5, input C6, input C7, input C8,
    input C9, input C10, input C11, input C12, input C13, input C14, input C15, input C16, input C17,
    input SIGNEDA, input SIGNEDB, input SOURCEA, input SOURCEB,
    input CLK0, input CLK1, input CLK2, input CLK3,
    input CE0, input CE1, input CE2, input CE3,
    input RST0, input RST1, input RST2, input RST3,
    output P0, output P1, output P2, output P3, output P4, output P5, output P6, output P7, output P8,
    output P9, output P10, output P11, output P12, output P13, output P14, output P15, output P16, output P17,
    output P18, output P19, output P20, output P21, output P22, output P23, output P24, output P25, output P26,
    output P27, output P28, output P29, output P30, output P31, output P32, output P33, output P34, output P35
);
    parameter REG_INPUTA_CLK = "NONE";
    parameter REG_INPUTB_CLK = "NONE";
    parameter REG_PIPELINE_CLK = "NONE";
    parameter REG_OUTPUT_CLK = "NONE";

    wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
    wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
    reg [17:0] a_q = 0;
    reg [17:0] b_q = 0;
    reg [35:0] pipeline_q = 0;
    reg [35:0] p_q = 0;
    wire [17:0] a_in = (REG_INPUTA_CLK == "NONE") ? a : a_q;
    wire [17:0] b_in = (REG_INPUTB_CLK == "NONE") ? b : b_q;
    wire [35:0] a_wide = {{18{SIGNEDA & a_in[17]}}, a_in};
    wire [35:0] b_wide = {{18{SIGNEDB & b_in[17]}}, b_in};
    wire [35:0] product = a_wide * b_wide;
    wire [35:0] sum = (REG_PIPELINE_CLK == "NONE") ? product : pipeline_q;
    wire [35:0] p = (REG_OUTPUT_CLK == "NONE") ? sum : p_q;

    assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
            P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = p;

    always @(posedge CLK0) begin
        a_q <= a;
        b_q <= b;
        pipeline_q <= product;
        p_q <= sum;
    end
endmodule
