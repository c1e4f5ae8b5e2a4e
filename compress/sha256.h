// SHA-256, for what other programs check: PostgreSQL's backup manifests. Our own identities are
// keyed BLAKE3 (compress/digest.h).
//
// Memory:   one library context per hasher.
// Threads:  one owner at a time.
// Errors:   none; hashing cannot fail.
// Format:   FIPS 180-4.
#pragma once

#include <array>
#include <cstddef>
#include <memory>

#include "base/types.h"

namespace haul::compress {

using Sha256Digest = std::array<std::byte, 32>;

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  Sha256& update(ByteSpan bytes);
  // Of everything so far; the hasher is spent.
  Sha256Digest finish() &&;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Sha256Digest sha256(ByteSpan bytes);

}  // namespace haul::compress
