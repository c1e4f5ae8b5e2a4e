// In which leaves little changes compared with the others.
//
// The first leaves are judged by what the parent backup saw. When much less has changed since than
// before it, that counts for less: no backup takes most of its leaves for quiet.
//
// Units:    pages, of any size.
// Threads:  any.
// Errors:   none.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "engine/repository/overlay.h"

namespace haul::backup {

class ChangePace {
 public:
  // In how many leaves pages had changed when the parent was made, and how many had.
  ChangePace(std::uint64_t leaves, std::uint64_t pages)
      : parent_leaves_(leaves), parent_pages_(pages) {}

  void note(std::uint64_t changed_pages) {
    if (changed_pages == 0) return;
    leaves_.fetch_add(1, std::memory_order_relaxed);
    pages_.fetch_add(changed_pages, std::memory_order_relaxed);
  }

  repository::Pace of(std::uint64_t changed_pages) const {
    constexpr double kQuietPart = 0.2;
    constexpr double kRiseMax = 4;
    const auto leaves = static_cast<double>(this->leaves());
    const auto pages = static_cast<double>(pages_.load(std::memory_order_relaxed));
    if (leaves == 0) return repository::Pace::usual;
    const double of_both = (pages + static_cast<double>(parent_pages_)) /
                           (leaves + static_cast<double>(parent_leaves_));
    const double usual = std::min(of_both, kRiseMax * pages / leaves);
    return static_cast<double>(changed_pages) <= kQuietPart * usual ? repository::Pace::quiet
                                                                    : repository::Pace::usual;
  }

  // Of this backup.
  std::uint64_t leaves() const { return leaves_.load(std::memory_order_relaxed); }

 private:
  const std::uint64_t parent_leaves_;
  const std::uint64_t parent_pages_;
  std::atomic<std::uint64_t> leaves_ = 0;
  std::atomic<std::uint64_t> pages_ = 0;
};

}  // namespace haul::backup
