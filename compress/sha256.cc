#include "compress/sha256.h"

#include <utility>

#include <openssl/evp.h>

#include "base/assert.h"

namespace haul::compress {

struct Sha256::State {
  struct Free {
    void operator()(EVP_MD_CTX* owned) const { EVP_MD_CTX_free(owned); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context{EVP_MD_CTX_new()};
};

// The library fails here only where memory ran out or it was built without SHA-256; neither is
// anything that a caller could handle.
Sha256::Sha256() : state_(std::make_unique<State>()) {
  HAUL_ASSERT(state_->context != nullptr);
  HAUL_ASSERT(EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

Sha256& Sha256::update(ByteSpan bytes) {
  HAUL_ASSERT(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
  return *this;
}

Sha256Digest Sha256::finish() && {
  Sha256Digest digest{};
  unsigned size_bytes = 0;
  const std::unique_ptr<State> spent = std::move(state_);
  HAUL_ASSERT(EVP_DigestFinal_ex(spent->context.get(),
                                 reinterpret_cast<unsigned char*>(digest.data()),
                                 &size_bytes) == 1);
  HAUL_ASSERT(size_bytes == digest.size());
  return digest;
}

Sha256Digest sha256(ByteSpan bytes) {
  Sha256 hasher;
  hasher.update(bytes);
  return std::move(hasher).finish();
}

}  // namespace haul::compress
