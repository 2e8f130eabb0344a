// SPDX-License-Identifier: Apache-2.0
// The ECP5's PLL without its frequency: the output is the input's clock, so that a cycle of the board's clock is a
// cycle of the core's, whatever the dividers are. The lock comes some cycles after the start, as in the chip.
module EHXPLLL (
    input CLKI, input CLKFB, input RST, input STDBY,
    input PHASESEL0, input PHASESEL1, input PHASEDIR, input PHASESTEP, input PHASELOADREG,
    input PLLWAKESYNC, input ENCLKOP,
    output CLKOP, output LOCK
);
    parameter CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 8, CLKOP_CPHASE = 0, CLKOP_FPHASE = 0;
    parameter CLKOP_ENABLE = "ENABLED", FEEDBK_PATH = "CLKOP", OUTDIVIDER_MUXA = "DIVA";
    parameter PLLRST_ENA = "DISABLED", INTFB_WAKE = "DISABLED", STDBY_ENABLE = "DISABLED";
    parameter DPHASE_SOURCE = "DISABLED";

    reg [4:0] count = 0;
    assign CLKOP = CLKI;
    assign LOCK = count[4];
    always @(posedge CLKI) if (!LOCK) count <= count + 1;
endmodule
