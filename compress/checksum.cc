#include "compress/checksum.h"

#include <cstring>
#include <memory>

// The entry points that choose AVX2 or AVX-512 at run time: the baseline's SSE2 code checks a pack
// at an eighth of their speed.
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

#include "base/assert.h"

namespace haul::compress {
namespace {

// The canonical form is the 128-bit number, most significant byte first.
Checksum canonical(XXH128_hash_t hash) {
  XXH128_canonical_t form;
  static_assert(sizeof form.digest == sizeof(Checksum));
  XXH128_canonicalFromHash(&form, hash);
  Checksum result;
  std::memcpy(result.bytes.data(), form.digest, sizeof form.digest);
  return result;
}

}  // namespace

struct Checksummer::State {
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };

  std::unique_ptr<XXH3_state_t, Free> xxh{XXH3_createState()};
};

Checksum checksum(ByteSpan bytes) { return canonical(XXH3_128bits(bytes.data(), bytes.size())); }

Checksummer::Checksummer() : state_(std::make_unique<State>()) {
  HAUL_ASSERT(state_->xxh != nullptr);  // Out of memory, which ends the program everywhere.
  reset();
}
Checksummer::~Checksummer() = default;
Checksummer::Checksummer(Checksummer&&) noexcept = default;
Checksummer& Checksummer::operator=(Checksummer&&) noexcept = default;

Checksummer& Checksummer::update(ByteSpan bytes) {
  XXH3_128bits_update(state_->xxh.get(), bytes.data(), bytes.size());
  return *this;
}

Checksum Checksummer::finish() const { return canonical(XXH3_128bits_digest(state_->xxh.get())); }

void Checksummer::reset() { XXH3_128bits_reset(state_->xxh.get()); }

}  // namespace haul::compress
