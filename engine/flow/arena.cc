#include "engine/flow/arena.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include "base/assert.h"

namespace haul::flow {

// Tasks wait in a queue of our own, from which at most `workers` runners take them in order: oneTBB
// numbers the slots of its threads, but has more of them than were asked for.
struct Arena::State {
  struct Threads {
    explicit Threads(std::size_t workers)
        // oneTBB keeps one thread less than there are processors, for it counts the caller in; here
        // the caller only waits.
        : parallelism(tbb::global_control::max_allowed_parallelism, workers + 1),
          arena(static_cast<int>(workers), 0) {
      arena.initialize();
    }

    tbb::global_control parallelism;
    tbb::task_arena arena;
  };

  State(std::size_t worker_count, FirstError& error) : first_error(error), workers(worker_count) {
    for (std::size_t i = worker_count; i-- > 0;) idle.push_back(i);
  }

  void start_runner(std::size_t worker) {
    threads->arena.enqueue([this, worker] { run_all(worker); });
  }

  void run_all(std::size_t worker) {
    while (std::optional<Task> task = next(worker)) {
      if (!first_error.stopped()) first_error.guard([&] { return (*task)(worker); });
    }
  }

  // Nothing: the runner ends and its number is idle again.
  std::optional<Task> next(std::size_t worker) {
    const std::scoped_lock lock(mutex);
    if (!waiting.empty()) {
      std::optional<Task> task(std::move(waiting.front()));
      waiting.pop_front();
      return task;
    }
    idle.push_back(worker);
    // Notified under the lock: once it is released the state may be gone.
    if (idle.size() == workers) all_idle.notify_all();
    return std::nullopt;
  }

  FirstError& first_error;
  const std::size_t workers;
  std::mutex mutex;  // guards the two below
  std::deque<Task> waiting;
  std::vector<std::size_t> idle;  // numbers without a runner
  std::condition_variable all_idle;
  std::optional<Threads> threads;  // none without oneTBB
};

Arena::Arena(std::size_t workers, FirstError& first_error, Status library)
    : workers_(workers), state_(std::make_unique<State>(workers, first_error)) {
  HAUL_ASSERT(workers > 0);
  if (library) {
    state_->threads.emplace(workers);
  } else {
    first_error.record(std::move(library).take_error());
  }
}

Arena::~Arena() { wait(); }

void Arena::run(Task task) {
  // Left out, as all that come after a failure.
  if (!state_->threads) return;
  std::optional<std::size_t> runner;
  {
    const std::scoped_lock lock(state_->mutex);
    state_->waiting.push_back(std::move(task));
    if (!state_->idle.empty()) {
      runner = state_->idle.back();
      state_->idle.pop_back();
    }
  }
  if (runner) state_->start_runner(*runner);
}

void Arena::wait() {
  std::unique_lock lock(state_->mutex);
  state_->all_idle.wait(lock, [this] { return state_->idle.size() == workers_; });
}

}  // namespace haul::flow
