// SPDX-License-Identifier: Apache-2.0
// Behaviour of the ECP5's carry cell as far as the generated RTL uses it: no constant is injected. Each half adds
// the bit that its table propagates to the carry; where it propagates none, the table's lowest four entries give
// the carry.
module CCU2C (
    input CIN,
    input A0, input B0, input C0, input D0,
    input A1, input B1, input C1, input D1,
    output S0, output S1, output COUT
);
    parameter [15:0] INIT0 = 16'h0000;
    parameter [15:0] INIT1 = 16'h0000;
    parameter INJECT1_0 = "NO";
    parameter INJECT1_1 = "NO";

    wire p0 = INIT0[{D0, C0, B0, A0}];
    wire p1 = INIT1[{D1, C1, B1, A1}];
    wire between = p0 ? CIN : INIT0[{2'b00, B0, A0}];
    assign S0 = p0 ^ CIN;
    assign S1 = p1 ^ between;
    assign COUT = p1 ? between : INIT1[{2'b00, B1, A1}];
endmodule
