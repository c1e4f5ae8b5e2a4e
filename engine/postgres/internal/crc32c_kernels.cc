#include "engine/postgres/internal/crc32c_kernels.h"

#include <array>
#include <cstddef>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace haul::postgres::internal {
namespace {

constexpr std::uint32_t kPolynomial = 0x82F63B78;  // Castagnoli, bit-reversed

using Table = std::array<std::uint32_t, 256>;

// kTables[n][b]: the byte b followed by n zero bytes ("slicing by 8").
constexpr std::array<Table, 8> make_tables() {
  std::array<Table, 8> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t state = byte;
    for (int bit = 0; bit < 8; ++bit) state = (state >> 1) ^ ((state & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = state;
  }
  for (std::size_t n = 1; n < tables.size(); ++n) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[n - 1][byte];
      tables[n][byte] = (before >> 8) ^ tables[0][before & 0xFF];
    }
  }
  return tables;
}

constexpr std::array<Table, 8> kTables = make_tables();

std::uint64_t load_word(const std::byte* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

std::uint32_t update_by_table(std::uint32_t state, ByteSpan bytes) {
  for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
    const std::uint64_t word = load_word(bytes.data()) ^ state;
    state = 0;
    for (std::size_t i = 0; i < 8; ++i) state ^= kTables[7 - i][(word >> (8 * i)) & 0xFF];
  }
  for (const std::byte byte : bytes) {
    state = (state >> 8) ^ kTables[0][(state ^ std::to_integer<std::uint32_t>(byte)) & 0xFF];
  }
  return state;
}

#if defined(__x86_64__)
[[gnu::target("sse4.2")]] std::uint32_t update_by_sse42(std::uint32_t state, ByteSpan bytes) {
  std::uint64_t wide = state;
  for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
    wide = _mm_crc32_u64(wide, load_word(bytes.data()));
  }
  state = static_cast<std::uint32_t>(wide);
  for (const std::byte byte : bytes)
    state = _mm_crc32_u8(state, std::to_integer<std::uint8_t>(byte));
  return state;
}
#endif

constexpr std::array kKernels{
    Crc32cKernel{"table", update_by_table},
#if defined(__x86_64__)
    Crc32cKernel{"sse4.2", update_by_sse42},
#endif
};

std::size_t count_runnable_kernels() {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("sse4.2")) return 1;
#endif
  return kKernels.size();
}

}  // namespace

std::span<const Crc32cKernel> crc32c_kernels() {
  static const std::size_t runnable = count_runnable_kernels();
  return std::span(kKernels).first(runnable);
}

}  // namespace haul::postgres::internal
