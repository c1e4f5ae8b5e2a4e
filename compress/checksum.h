// XXH3-128 over stored bytes: finds damage. Never an identity, since chosen inputs collide, secret
// or not.
//
// Threads:  a Checksummer has one owner.
// Errors:   none.
// Format:   docs/format.md: 16 bytes, XXH3's canonical (big-endian) form, seed 0.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <memory>

#include "base/types.h"

namespace haul::compress {

struct Checksum {
  std::array<std::byte, 16> bytes{};

  auto operator<=>(const Checksum&) const = default;
};

Checksum checksum(ByteSpan bytes);

// The same over several ranges, as if concatenated.
class Checksummer {
 public:
  Checksummer();
  ~Checksummer();
  Checksummer(Checksummer&&) noexcept;
  Checksummer& operator=(Checksummer&&) noexcept;

  Checksummer& update(ByteSpan bytes);
  Checksum finish() const;
  void reset();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace haul::compress
