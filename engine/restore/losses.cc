#include "engine/restore/losses.h"

#include <algorithm>

#include "base/format.h"

namespace haul::restore {

Status Losses::note(PlacedFile& file, Error error) {
  if (error.code() != ErrorCode::corrupt) {
    return std::move(error).with_context(format("cannot restore {}", file.path));
  }
  is_survey_ = true;
  if (file.is_lost.exchange(true)) return ok();
  const std::scoped_lock lock(mutex_);
  ++count_;
  if (names_.size() < kNamesMax) names_.push_back(file.path);
  return ok();
}

std::uint64_t Losses::count() const {
  const std::scoped_lock lock(mutex_);
  return count_;
}

std::vector<std::string> Losses::names() const {
  const std::scoped_lock lock(mutex_);
  std::vector<std::string> names = names_;
  std::ranges::sort(names);
  return names;
}

}  // namespace haul::restore
