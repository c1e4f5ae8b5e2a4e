// Summarises archived WAL on a thread of its own while the server makes its checkpoint.
//
// Threads:  made, asked and destroyed by one owner; destroying it leaves off and waits.
// Errors:   none; what goes wrong is met again by select_changes().
#pragma once

#include <functional>
#include <stop_token>
#include <thread>

#include "engine/backup/changes_since.h"

namespace haul::backup {

class ChangesAhead {
 public:
  // What `since` points to outlives it.
  explicit ChangesAhead(const ChangesSince& since);
  ChangesAhead(const ChangesAhead&) = delete;
  ChangesAhead& operator=(const ChangesAhead&) = delete;

  void wait() { thread_.join(); }

 private:
  std::jthread thread_;
  std::stop_callback<std::function<void()>> interrupted_;
};

}  // namespace haul::backup
