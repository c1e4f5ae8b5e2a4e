#include "tools/pghaul/process.h"

int main(int argc, char** argv) {
  haul::cli::PosixPlatform platform;
  return haul::cli::run_process(argc, argv, platform);
}
