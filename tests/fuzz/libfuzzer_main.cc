// One libFuzzer program per target; HAUL_FUZZ_TARGET names it.
#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "tests/fuzz/target.h"

namespace {

const haul::fuzz::Target& chosen() {
  for (const haul::fuzz::Target& target : haul::fuzz::targets()) {
    if (target.name == HAUL_FUZZ_TARGET) return target;
  }
  haul::assertion_failed("no such target", __FILE__, __LINE__);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const haul::fuzz::Target& target = chosen();
  target.run(std::as_bytes(std::span(data, size)));
  return 0;
}
