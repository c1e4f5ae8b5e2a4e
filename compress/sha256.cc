#include "compress/sha256.h"

#include <utility>

// The functions that need nothing but themselves. Those that the library would rather have called
// look the algorithm up in its providers, and every start of a program would pay for that machinery
// being there: 0.4 ms linked into it, 1.5 ms as a shared library.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include "base/assert.h"

namespace haul::compress {

struct Sha256::State {
  SHA256_CTX context;
};

// The library's results are those of a function that cannot fail.
Sha256::Sha256() : state_(std::make_unique<State>()) {
  HAUL_ASSERT(SHA256_Init(&state_->context) == 1);
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

Sha256& Sha256::update(ByteSpan bytes) {
  HAUL_ASSERT(SHA256_Update(&state_->context, bytes.data(), bytes.size()) == 1);
  return *this;
}

Sha256Digest Sha256::finish() && {
  Sha256Digest digest{};
  const std::unique_ptr<State> spent = std::move(state_);
  static_assert(sizeof digest == SHA256_DIGEST_LENGTH);
  HAUL_ASSERT(SHA256_Final(reinterpret_cast<unsigned char*>(digest.data()), &spent->context) == 1);
  return digest;
}

Sha256Digest sha256(ByteSpan bytes) {
  Sha256 hasher;
  hasher.update(bytes);
  return std::move(hasher).finish();
}

}  // namespace haul::compress
