#include "compress/digest.h"

#include <string.h>

#include <new>

#include <blake3.h>

namespace haul::compress {
namespace {

// The library's state lives inside KeyedHasher, so that hashing a page allocates nothing.
blake3_hasher* state_of(std::array<std::byte, 1920>& memory) {
  return std::launder(reinterpret_cast<blake3_hasher*>(memory.data()));
}

const blake3_hasher* state_of(const std::array<std::byte, 1920>& memory) {
  return std::launder(reinterpret_cast<const blake3_hasher*>(memory.data()));
}

const std::uint8_t* key_bytes(const DigestKey& key) {
  return reinterpret_cast<const std::uint8_t*>(key.bytes().data());
}

Digest finalize(const blake3_hasher& hasher) {
  Digest digest;
  blake3_hasher_finalize(&hasher, reinterpret_cast<std::uint8_t*>(digest.bytes.data()),
                         digest.bytes.size());
  return digest;
}

}  // namespace

DigestKey::~DigestKey() {
  // Not memset: a compiler may drop stores to an object whose life ends.
  explicit_bzero(bytes_.data(), bytes_.size());
}

DigestKey DigestKey::derive(std::string_view context) const {
  blake3_hasher hasher;
  blake3_hasher_init_derive_key_raw(&hasher, context.data(), context.size());
  blake3_hasher_update(&hasher, bytes_.data(), bytes_.size());
  Digest subkey = finalize(hasher);
  const DigestKey derived(subkey.bytes);
  explicit_bzero(&hasher, sizeof hasher);
  explicit_bzero(&subkey, sizeof subkey);
  return derived;
}

Digest keyed_digest(const DigestKey& key, ByteSpan bytes) {
  blake3_hasher hasher;
  blake3_hasher_init_keyed(&hasher, key_bytes(key));
  blake3_hasher_update(&hasher, bytes.data(), bytes.size());
  return finalize(hasher);
}

KeyedHasher::KeyedHasher(const DigestKey& key) {
  static_assert(sizeof(blake3_hasher) <= sizeof(state_));
  static_assert(alignof(blake3_hasher) <= alignof(std::max_align_t));
  blake3_hasher_init_keyed(::new (state_.data()) blake3_hasher, key_bytes(key));
}

KeyedHasher& KeyedHasher::update(ByteSpan bytes) {
  blake3_hasher_update(state_of(state_), bytes.data(), bytes.size());
  return *this;
}

Digest KeyedHasher::finish() const { return finalize(*state_of(state_)); }

bool is_zero(ByteSpan bytes) {
  // The first bytes are compared with zero, every later one with its predecessor 16 bytes before:
  // memcmp is the C library's best vector code for this processor in every build type, and most
  // pages that are not zero end it at once.
  constexpr std::size_t kHeadBytes = 16;
  static constexpr std::byte kZeros[kHeadBytes]{};
  if (bytes.size() <= kHeadBytes) {
    return bytes.empty() || std::memcmp(bytes.data(), kZeros, bytes.size()) == 0;
  }
  return std::memcmp(bytes.data(), kZeros, kHeadBytes) == 0 &&
         std::memcmp(bytes.data(), bytes.data() + kHeadBytes, bytes.size() - kHeadBytes) == 0;
}

std::string_view digest_algorithm() { return "BLAKE3"; }

}  // namespace haul::compress
