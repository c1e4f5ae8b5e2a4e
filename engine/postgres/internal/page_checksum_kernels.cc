#include "engine/postgres/internal/page_checksum_kernels.h"

#include <array>
#include <cstddef>
#include <cstring>

namespace haul::postgres::internal {
namespace {

// The page is a table of 32-bit numbers with 32 columns; every column is hashed by itself.
constexpr std::size_t kColumns = 32;
constexpr std::size_t kRowBytes = kColumns * sizeof(std::uint32_t);
constexpr std::uint32_t kPrime = 16777619;  // FNV-1a's
constexpr std::size_t kChecksumOffset = 8;  // pd_checksum in the page header

// Where each column starts; any distinct values would do, these are PostgreSQL's.
alignas(64) constexpr std::array<std::uint32_t, kColumns> kColumnStarts{
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756};

using Vector16 [[gnu::vector_size(16)]] = std::uint32_t;
using Vector32 [[gnu::vector_size(32)]] = std::uint32_t;

// The columns' sums in registers of one width. Everything is inlined into a function compiled for
// a processor that has them; out of line it would be compiled for the baseline.
template <typename Vector>
struct Sums {
  static constexpr std::size_t kVectors = kRowBytes / sizeof(Vector);
  Vector vectors[kVectors];

  [[gnu::always_inline]] void start() { std::memcpy(vectors, kColumnStarts.data(), kRowBytes); }

  [[gnu::always_inline]] void add_row(const std::byte* row) {
    // Unrolled, and each vector loaded by itself: otherwise sums or values go through memory, and
    // every row waits for the stores of the one before.
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kVectors; ++i) {
      Vector value;
      std::memcpy(&value, row + i * sizeof(Vector), sizeof(Vector));
      const Vector mixed = vectors[i] ^ value;
      vectors[i] = (mixed * kPrime) ^ (mixed >> 17);
    }
  }

  [[gnu::always_inline]] std::uint32_t fold() const {
    std::array<std::uint32_t, kColumns> columns;
    std::memcpy(columns.data(), vectors, kRowBytes);
    std::uint32_t folded = 0;
    for (const std::uint32_t column : columns) folded ^= column;
    return folded;
  }
};

template <typename Vector>
[[gnu::always_inline]] inline std::uint32_t fold_page(ByteSpan page) {
  // The first row is hashed with pd_checksum cleared; the page itself is never written to.
  std::byte first_row[kRowBytes];
  std::memcpy(first_row, page.data(), kRowBytes);
  std::memset(first_row + kChecksumOffset, 0, sizeof(std::uint16_t));

  Sums<Vector> sums;
  sums.start();
  sums.add_row(first_row);
  for (std::size_t at = kRowBytes; at < page.size(); at += kRowBytes) {
    sums.add_row(page.data() + at);
  }
  // Two rounds of zeros mix the bits of the last row.
  constexpr std::byte kZeros[kRowBytes]{};
  sums.add_row(kZeros);
  sums.add_row(kZeros);
  return sums.fold();
}

// 128-bit vectors: SSE2 on x86-64, NEON on ARM.
std::uint32_t fold_baseline(ByteSpan page) { return fold_page<Vector16>(page); }

#if defined(__x86_64__)
// AVX-512 is no faster: four chains of multiplications hide their latency as well as two do.
[[gnu::target("avx2")]] std::uint32_t fold_avx2(ByteSpan page) { return fold_page<Vector32>(page); }
#endif

constexpr std::array kKernels{
    PageChecksumKernel{"baseline", fold_baseline},
#if defined(__x86_64__)
    PageChecksumKernel{"avx2", fold_avx2},
#endif
};

std::size_t count_runnable_kernels() {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2")) return 1;
#endif
  return kKernels.size();
}

}  // namespace

std::span<const PageChecksumKernel> page_checksum_kernels() {
  static const std::size_t runnable = count_runnable_kernels();
  return std::span(kKernels).first(runnable);
}

}  // namespace haul::postgres::internal
