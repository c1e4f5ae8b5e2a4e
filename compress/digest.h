// Keyed BLAKE3-256: page digests, chunk ids and everything else that is an identity.
//
// Units:    sizes are bytes.
// Memory:   a hasher is about 2 KiB, no allocation.
// Threads:  DigestKey is immutable and shared; a Hasher has one owner.
// Errors:   none; hashing cannot fail.
// Format:   docs/format.md, "Identities".
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/types.h"

namespace haul::compress {

// A 256-bit digest. All zero is never computed and means "none" where a format says so.
struct Digest {
  std::array<std::byte, 32> bytes{};

  auto operator<=>(const Digest&) const = default;
  bool is_zero() const { return *this == Digest{}; }
  // The first 8 bytes, little endian: a page tag, a filter hash.
  std::uint64_t tag() const {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
};

// A 256-bit key. Not printable, not comparable with an operator; wiped when destroyed.
class DigestKey {
 public:
  explicit DigestKey(const std::array<std::byte, 32>& bytes) : bytes_(bytes) {}
  DigestKey(const DigestKey&) = default;
  DigestKey& operator=(const DigestKey&) = default;
  ~DigestKey();

  // BLAKE3's derive_key mode: a subkey that says nothing about this key. `context` is a constant of
  // the program.
  DigestKey derive(std::string_view context) const;
  const std::array<std::byte, 32>& bytes() const { return bytes_; }

 private:
  std::array<std::byte, 32> bytes_;
};

// keyed BLAKE3-256 of one range.
Digest keyed_digest(const DigestKey& key, ByteSpan bytes);

// The same over several ranges, as if concatenated.
class KeyedHasher {
 public:
  explicit KeyedHasher(const DigestKey& key);
  KeyedHasher& update(ByteSpan bytes);
  Digest finish() const;

 private:
  alignas(std::max_align_t)
      std::array<std::byte, 1920> state_;  // holds the library's state; size checked in digest.cc
};

// True when every byte is zero; vectorised.
bool is_zero(ByteSpan bytes);

// "BLAKE3", for config and reports.
std::string_view digest_algorithm();

}  // namespace haul::compress

template <>
struct std::hash<haul::compress::Digest> {
  std::size_t operator()(const haul::compress::Digest& digest) const noexcept {
    return digest.tag();
  }
};
