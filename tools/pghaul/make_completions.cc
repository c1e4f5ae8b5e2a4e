// Writes the completion script of one shell to standard output, when pghaul is built.
#include <cstdio>
#include <string>
#include <string_view>

#include "tools/pghaul/completions.h"

int main(int argc, char** argv) {
  const std::string_view shell = argc == 2 ? argv[1] : "";
  std::string script;
  if (shell == "bash") script = haul::cli::bash_completion();
  if (shell == "zsh") script = haul::cli::zsh_completion();
  if (shell == "fish") script = haul::cli::fish_completion();
  if (script.empty()) {
    std::fputs("usage: make_completions bash|zsh|fish\n", stderr);
    return 2;
  }
  return std::fwrite(script.data(), 1, script.size(), stdout) == script.size() ? 0 : 1;
}
