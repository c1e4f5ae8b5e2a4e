#include "engine/flow/workers.h"

#include <sched.h>

#include <algorithm>
#include <exception>
#include <string>
#include <thread>
#include <vector>

namespace haul::flow {

FirstError::FirstError(std::stop_token outer)
    : outer_(std::move(outer)), forward_(outer_, RequestStop{&source_}) {}

void FirstError::record(Error error) {
  {
    const std::scoped_lock lock(mutex_);
    if (!error_) error_ = std::move(error);
  }
  source_.request_stop();
}

void FirstError::guard(const std::function<Status()>& stage) {
  try {
    Status status = stage();
    if (!status) record(std::move(status).take_error());
  } catch (const std::exception& exception) {
    record(Error(ErrorCode::io, std::string("unexpected failure: ") + exception.what()));
  }
}

Status FirstError::status() const {
  const std::scoped_lock lock(mutex_);
  // Workers that were told to stop report `interrupted`, which is no more than the echo of the
  // user's request.
  if (error_) return *error_;
  if (outer_.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
  return ok();
}

std::size_t resolve_workers(std::size_t requested) {
  if (requested > 0) return requested;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
  return std::max(1U, std::thread::hardware_concurrency());
}

Status run_workers(std::size_t workers, FirstError& first_error,
                   const std::function<Status(std::size_t)>& work) {
  {
    std::vector<std::jthread> threads;
    threads.reserve(workers);
    for (std::size_t i = 0; i < workers; ++i) {
      threads.emplace_back([&, i] { first_error.guard([&] { return work(i); }); });
    }
  }
  return first_error.status();
}

}  // namespace haul::flow
