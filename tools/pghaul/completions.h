// Completion scripts for three shells, made from the table of commands and options.
//
// Threads:  functions over constants.
#pragma once

#include <string>

namespace haul::cli {

std::string bash_completion();
std::string zsh_completion();
std::string fish_completion();

}  // namespace haul::cli
