// The files that turned out to be lost. From the first one on nothing more is written, but
// everything is still looked at, so that the answer names them all.
//
// Memory:   at most PlaceResult::kLostFilesMax names; the rest is counted.
// Threads:  every function from any thread.
// Errors:   note() hands back any error that is no damage.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/restore/place_batch.h"

namespace haul::restore {

class Losses {
 public:
  static constexpr std::size_t kNamesMax = 10'000;

  // Whether anything is to be written in the first place.
  enum class Purpose { restore, survey };
  explicit Losses(Purpose purpose) : is_survey_(purpose == Purpose::survey) {}

  bool is_survey() const { return is_survey_; }
  // A file counts once, however many of its parts are lost.
  Status note(PlacedFile& file, Error error);

  std::uint64_t count() const;
  // Sorted.
  std::vector<std::string> names() const;

 private:
  std::atomic<bool> is_survey_;
  mutable std::mutex mutex_;  // guards everything below
  std::uint64_t count_ = 0;
  std::vector<std::string> names_;
};

}  // namespace haul::restore
