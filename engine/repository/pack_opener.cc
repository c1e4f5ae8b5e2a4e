#include "engine/repository/pack_opener.h"

#include <algorithm>
#include <exception>
#include <utility>

namespace haul::repository {

namespace {

// Each waits for the device most of the time.
constexpr std::size_t kThreads = 8;

}  // namespace

PackOpener::PackOpener(ChunkReader& chunks, std::vector<PackRef> packs)
    : chunks_(chunks), packs_(std::move(packs)) {
  const std::size_t threads = std::min(kThreads, packs_.size());
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

PackOpener::~PackOpener() { next_ = packs_.size(); }

void PackOpener::work() noexcept {
  try {
    for (std::size_t i = next_++; i < packs_.size(); i = next_++) {
      if (!chunks_.open_ahead(packs_[packs_.size() - 1 - i])) next_ = packs_.size();
    }
  } catch (const std::exception&) {
    // Out of memory, most likely: then nothing is opened ahead.
  }
}

}  // namespace haul::repository
