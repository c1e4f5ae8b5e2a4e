// A bounded set of oneTBB workers for computing: tasks are started from any thread and never block.
//
// The first failure of a task is recorded and tells everyone to stop; tasks started or waiting
// after it do not run. Whoever starts tasks bounds them, as a rule by the buffers that they hold.
//
// Threads:  run() from any thread, tasks included; wait() from a thread that is no worker.
// Errors:   the first failure of any task; an exception of a library becomes `io`, and so does that
//           oneTBB cannot be loaded, after which no task runs.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "engine/flow/workers.h"

namespace haul::flow {

// Loads oneTBB, once for the process.
Status load_tbb();

class Arena {
 public:
  // `first_error` outlives the arena. A failure of `library` is its first one.
  Arena(std::size_t workers, FirstError& first_error, Status library = load_tbb());
  // Waits for all tasks.
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  std::size_t workers() const { return workers_; }

  // A task gets the number of its worker, below workers(): the index of what each worker has for
  // itself. No two tasks run under one number at once.
  using Task = std::move_only_function<Status(std::size_t worker)>;
  void run(Task task);
  // Until every task, those started meanwhile included, has run or was left out after a failure.
  void wait();

 private:
  struct State;

  const std::size_t workers_;
  const std::unique_ptr<State> state_;
};

}  // namespace haul::flow
