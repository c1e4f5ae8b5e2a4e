#include "engine/postgres/crc32c.h"

#include <array>

#include "engine/postgres/internal/crc32c_kernels.h"

namespace haul::postgres {
namespace {

// A CRC is a polynomial over GF(2) modulo the Castagnoli polynomial. Bits are reversed: the highest
// bit of a number is the coefficient of x^0.
constexpr std::uint32_t kPolynomial = 0x82F63B78;
constexpr std::uint32_t kOne = 0x80000000;

constexpr std::uint32_t times_x(std::uint32_t a) {
  return (a >> 1) ^ ((a & 1) != 0 ? kPolynomial : 0);
}

constexpr std::uint32_t multiply(std::uint32_t a, std::uint32_t b) {
  std::uint32_t product = 0;
  for (std::uint32_t bit = kOne; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) product ^= b;
    b = times_x(b);
  }
  return product;
}

// x^(8 * 2^n): what appending 2^n bytes multiplies a CRC by.
constexpr std::array<std::uint32_t, 64> make_byte_powers() {
  std::array<std::uint32_t, 64> powers{};
  powers[0] = kOne >> 8;
  for (std::size_t n = 1; n < powers.size(); ++n) {
    powers[n] = multiply(powers[n - 1], powers[n - 1]);
  }
  return powers;
}

constexpr std::array<std::uint32_t, 64> kBytePowers = make_byte_powers();

}  // namespace

Crc32c& Crc32c::update(ByteSpan bytes) {
  state_ = internal::crc32c_kernels().back().update(state_, bytes);
  return *this;
}

std::uint32_t crc32c(ByteSpan bytes) { return Crc32c().update(bytes).finish(); }

Crc32cPiece combine(Crc32cPiece first, Crc32cPiece second) {
  // The inversions before and after cancel out, so finished CRCs combine like bare remainders.
  std::uint32_t shifted = first.crc;
  for (std::size_t n = 0; n < kBytePowers.size(); ++n) {
    if (((second.size_bytes >> n) & 1) != 0) shifted = multiply(shifted, kBytePowers[n]);
  }
  return Crc32cPiece{shifted ^ second.crc, first.size_bytes + second.size_bytes};
}

}  // namespace haul::postgres
