#include "io/ring.h"

#include <utility>

#include "io/internal/uring_ring.h"

namespace haul::io {

Result<std::unique_ptr<Ring>> open_ring(const RingOptions& options) {
  if (options.backend == RingBackend::threads) {
    return make_thread_ring(options.capacity, options.threads);
  }
  Result<std::unique_ptr<Ring>> ring = internal::open_uring_ring(options);
  if (ring || options.backend == RingBackend::uring) return ring;
  return make_thread_ring(options.capacity, options.threads);
}

RingFactory rings_on(RingBackend backend, RingFactory rings) {
  return [backend, rings = std::move(rings)](RingOptions options) {
    options.backend = backend;
    return rings(options);
  };
}

}  // namespace haul::io
