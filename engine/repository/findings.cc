#include "engine/repository/findings.h"

namespace haul::repository {

bool is_damage(const Error& error) {
  return error.code() == ErrorCode::corrupt || error.code() == ErrorCode::unsupported ||
         error.code() == ErrorCode::not_found;
}

void Findings::add(std::string line) {
  const std::scoped_lock lock(mutex_);
  if (lines_.contains(line)) return;
  ++count_;
  if (lines_.size() < kFindingsMax) lines_.insert(std::move(line));
}

std::vector<std::string> Findings::lines() const {
  const std::scoped_lock lock(mutex_);
  return {lines_.begin(), lines_.end()};
}

std::uint64_t Findings::count() const {
  const std::scoped_lock lock(mutex_);
  return count_;
}

}  // namespace haul::repository
