# SPDX-License-Identifier: Apache-2.0
# Stands in for Vivado's Tcl shell: tclsh vivado.tcl RECORD SCRIPT ARGUMENTS...
# Every command of Vivado's is noted in RECORD, one Tcl list a line, and answers as Vivado would. Anything that
# is neither Tcl's nor known here is an error, as is a file that isn't there.
#   MOCK_SLACK   worst slack in ns (default 0.1)    MOCK_BOARD_FILES   1: the board's files are installed
#   MOCK_FAILS   a run that doesn't finish          MOCK_NO_PART       1: the device isn't installed

set record_path [lindex $argv 0]
set script [lindex $argv 1]
set argv [lrange $argv 2 end]
set argc [llength $argv]

proc record {name arguments} {
    set file [open $::record_path a]
    puts $file [list $name {*}$arguments]
    close $file
}
proc must_exist {paths} {
    foreach path $paths {
        if {![file exists $path]} {
            error "file $path doesn't exist"
        }
    }
}
proc touch {path} {
    file mkdir [file dirname $path]
    close [open $path w]
    return $path
}
proc setting {name default} {
    if {[info exists ::env($name)]} {
        return $::env($name)
    }
    return $default
}
# Defines a command that is noted; its body sees `args`, `options` (-name value) and `words` (the rest).
proc stub {name flags body} {
    proc $name args "
        record [list $name] \$args
        set flags [list $flags]
        set options \[dict create\]
        set words {}
        for {set i 0} {\$i < \[llength \$args\]} {incr i} {
            set word \[lindex \$args \$i\]
            if {\[string match -* \$word\] && !\[string is double -strict \$word\]} {
                if {\$word in \$flags} {
                    dict set options \$word 1
                } else {
                    dict set options \$word \[lindex \$args \[incr i\]\]
                }
            } else {
                lappend words \$word
            }
        }
        $body
    "
}

stub get_parts -quiet { if {[setting MOCK_NO_PART 0]} { return {} }; return $words }
stub create_project {-force -in_memory} {
    if {[llength $words] == 2} { set ::project [lindex $words 1]; file mkdir $::project }
}
stub get_board_parts {-quiet -latest_file_version} {
    if {[setting MOCK_BOARD_FILES 0]} { return [string map {* 9.9} [lindex $words 0]] }
    return {}
}
stub current_project {} { return project }
stub current_fileset {} { return sources_1 }
stub set_property {} {
    if {[dict exists $options -dict] && [llength [dict get $options -dict]] % 2} {
        error "set_property -dict: odd number of elements"
    }
}
stub add_files -norecurse { foreach list $words { must_exist $list } }
stub update_compile_order {} {}
stub create_bd_design {} { touch [file join $::project [lindex $words 0].bd] }
stub create_bd_cell {} { return [lindex $words end] }
stub create_bd_port {} { return [lindex $words end] }
stub apply_bd_automation {} {}
stub get_bd_intf_pins {} { return [lindex $words 0] }
stub get_bd_pins {} { return [lindex $words 0] }
stub get_bd_ports {} { return [lindex $words 0] }
stub connect_bd_intf_net {} {}
stub connect_bd_net {} {}
stub assign_bd_address {} {}
stub validate_bd_design {} {}
stub save_bd_design {} {}
stub get_files {} { set path [file join $::project [lindex $words 0]]; must_exist [list $path]; return $path }
stub generate_target {} {
    touch [file join $::project [file tail $::project].gen sources_1 bd system hw_handoff system.hwh]
}
stub make_wrapper -top { return [touch [file join $::project system_wrapper.v]] }
stub launch_runs {} {
    if {[lindex $words 0] eq "impl_1"} { touch [file join $::project impl_1 system_wrapper.bit] }
}
stub wait_on_run {} {}
stub get_runs {} { return [lindex $words 0] }
stub get_property {} {
    lassign $words property object
    switch $property {
        PROGRESS { return [expr {$object eq [setting MOCK_FAILS none] ? "40%" : "100%"}] }
        STATUS { return "route_design ERROR" }
        DIRECTORY { return [file join $::project $object] }
        SLACK { return [setting MOCK_SLACK 0.1] }
        default { error "no property $property" }
    }
}
stub get_timing_paths {} { return path_1 }
stub open_run {} {}
stub report_utilization {} {
    set file [open [dict get $options -file] w]
    puts $file {
+----------------------------+-------+-------+------------+-----------+-------+
|          Site Type         |  Used | Fixed | Prohibited | Available | Util% |
+----------------------------+-------+-------+------------+-----------+-------+
| CLB LUTs*                  | 51234 |     0 |          0 |    274080 | 18.69 |
| CLB Registers              | 40321 |     0 |          0 |    548160 |  7.36 |
| Block RAM Tile             |  40.5 |     0 |          0 |       912 |  4.44 |
| DSPs                       |  1040 |     0 |          0 |      2520 | 41.27 |
| DSPs                       |     7 |     0 |          0 |         9 | 77.78 |
    }
    close $file
}
stub report_timing_summary {} { touch [dict get $options -file] }
stub write_hw_platform {-fixed -include_bit -force} { touch [dict get $options -file] }
stub get_ports {} { return [lindex $words 0] }
stub current_design {} { return design }
stub set_false_path {} {}
namespace eval ipx {}
stub ipx::package_project {-import_files -force} {}
stub ipx::current_core {} { return core }
stub ipx::get_bus_interfaces {} { return $words }
stub ipx::create_xgui_files {} {}
stub ipx::update_checksums {} {}
stub ipx::check_integrity {} {}
stub ipx::save_core {} {}

if {[catch {source $script} message]} {
    puts "ERROR: $message"
    exit 1
}
