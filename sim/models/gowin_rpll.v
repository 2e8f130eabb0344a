// SPDX-License-Identifier: Apache-2.0
// Gowin's PLL (UG286) without its frequency: the output is the input's clock, so that a cycle of the board's clock is a
// cycle of the core's, whatever the dividers are. The lock comes some cycles after the start, as in the chip.
module rPLL (
    input CLKIN, CLKFB, RESET, RESET_P,
    input [5:0] FBDSEL, IDSEL, ODSEL,
    input [3:0] PSDA, DUTYDA, FDLY,
    output CLKOUT, CLKOUTP, CLKOUTD, CLKOUTD3, LOCK
);
    parameter FCLKIN = "100.0", DEVICE = "", PSDA_SEL = "0000", DUTYDA_SEL = "1000", CLKFB_SEL = "internal";
    parameter IDIV_SEL = 0, FBDIV_SEL = 0, ODIV_SEL = 8, DYN_SDIV_SEL = 2, CLKOUT_DLY_STEP = 0, CLKOUTP_DLY_STEP = 0;
    parameter DYN_IDIV_SEL = "false", DYN_FBDIV_SEL = "false", DYN_ODIV_SEL = "false", DYN_DA_EN = "false";
    parameter CLKOUT_FT_DIR = 1, CLKOUTP_FT_DIR = 1, CLKOUT_BYPASS = "false", CLKOUTP_BYPASS = "false";
    parameter CLKOUTD_BYPASS = "false", CLKOUTD_SRC = "CLKOUT", CLKOUTD3_SRC = "CLKOUT";

    reg [4:0] count = 0;
    assign CLKOUT = CLKIN;
    assign {CLKOUTP, CLKOUTD, CLKOUTD3} = 0;
    assign LOCK = count[4];
    always @(posedge CLKIN) if (!LOCK) count <= count + 1;
endmodule
