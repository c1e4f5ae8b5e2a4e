// What a program made of this command line does around run(): its process, its signals, and the
// last word on exceptions.
//
// Threads:  called once, by main(), before any other thread exists.
#pragma once

#include "tools/pghaul/platform.h"

namespace haul::cli {

// Runs the command line in this process and returns the exit status.
int run_process(int argc, char** argv, Platform& platform);

}  // namespace haul::cli
