// SPDX-License-Identifier: Apache-2.0
// Behaviour of Gowin's multiplier blocks (UG287) as far as synthesis uses them: operands from the pins, signed or
// unsigned, no registers. The outputs of shift chains are not modelled.
module MULT9X9 (
    input [8:0] A, B, SIA, SIB, input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET,
    output [17:0] DOUT, output [8:0] SOA, SOB
);
    wire signed [18:0] product = $signed({ASIGN & A[8], A}) * $signed({BSIGN & B[8], B});
    assign DOUT = product[17:0];
    assign SOA = 0;
    assign SOB = 0;
endmodule

module MULT18X18 (
    input [17:0] A, B, SIA, SIB, input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET,
    output [35:0] DOUT, output [17:0] SOA, SOB
);
    wire signed [36:0] product = $signed({ASIGN & A[17], A}) * $signed({BSIGN & B[17], B});
    assign DOUT = product[35:0];
    assign SOA = 0;
    assign SOB = 0;
endmodule

module MULT36X36 (
    input [35:0] A, B, input ASIGN, BSIGN, CE, CLK, RESET,
    output [71:0] DOUT
);
    wire signed [72:0] product = $signed({ASIGN & A[35], A}) * $signed({BSIGN & B[35], B});
    assign DOUT = product[71:0];
endmodule
