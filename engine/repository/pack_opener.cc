#include "engine/repository/pack_opener.h"

#include <algorithm>
#include <exception>
#include <utility>

namespace haul::repository {

namespace {

// Each waits for the device most of the time.
constexpr std::size_t kThreads = 8;

std::vector<PackRef> last_first(std::vector<PackRef> packs) {
  std::ranges::reverse(packs);
  packs.resize(std::min(packs.size(), ChunkReader::kOpenPacksMax));
  return packs;
}

}  // namespace

PackOpener::PackOpener(ChunkReader& chunks, std::vector<PackRef> packs)
    : chunks_(chunks), packs_(last_first(std::move(packs))) {
  const std::size_t threads = std::min(kThreads, packs_.size());
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

PackOpener::~PackOpener() { next_ = packs_.size(); }

void PackOpener::work() noexcept {
  try {
    for (std::size_t i = next_++; i < packs_.size(); i = next_++) chunks_.open_ahead(packs_[i]);
  } catch (const std::exception&) {
    // Out of memory, most likely: then nothing is opened ahead.
  }
}

}  // namespace haul::repository
