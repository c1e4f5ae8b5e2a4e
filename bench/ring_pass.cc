#include "bench/ring_pass.h"

#include <numeric>
#include <vector>

namespace haul::bench {

Status drive(io::Ring& ring, const NextOperation& next, const OperationDone& done) {
  std::vector<std::size_t> idle(ring.capacity());
  std::iota(idle.rbegin(), idle.rend(), std::size_t{0});
  bool more = true;
  while (more || ring.in_flight() > 0) {
    while (more && !idle.empty()) {
      std::optional<io::RingOperation> operation = HAUL_TRY(next(idle.back()));
      more = operation.has_value();
      if (!more) break;
      operation->tag = idle.back();
      idle.pop_back();
      ring.submit(*operation);
    }
    if (ring.in_flight() == 0) continue;
    for (io::RingCompletion& completion : ring.wait()) {
      const auto slot = static_cast<std::size_t>(completion.tag);
      HAUL_TRY(done(slot, HAUL_TRY(std::move(completion.outcome))));
      idle.push_back(slot);
    }
  }
  return ok();
}

}  // namespace haul::bench
