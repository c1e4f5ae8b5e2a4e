// Runs one function on several threads until all have returned; the first failure stops the rest.
//
// Threads:  run_workers() blocks its caller; FirstError from any thread.
// Errors:   the first failure of any worker; an exception of a library becomes `io`.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>

#include "base/result.h"

namespace haul::flow {

// Keeps the first failure and tells everyone to stop.
class FirstError {
 public:
  // Also stops when `outer` is stopped.
  explicit FirstError(std::stop_token outer);

  void record(Error error);
  // Records how `stage` fails; an exception of a library, which must not leave a thread, as `io`.
  void guard(const std::function<Status()>& stage);
  std::stop_token stop_token() const { return source_.get_token(); }
  bool stopped() const { return source_.stop_requested(); }
  // The first failure; `interrupted` when the outer token stopped it; else ok.
  Status status() const;

 private:
  struct RequestStop {
    std::stop_source* source;
    void operator()() const { source->request_stop(); }
  };

  std::stop_source source_;
  std::stop_token outer_;
  std::stop_callback<RequestStop> forward_;
  mutable std::mutex mutex_;  // guards error_
  std::optional<Error> error_;
};

// 0 means one per processor that this process may use.
std::size_t resolve_workers(std::size_t requested);

// Each worker gets its number, from 0. The failure of one is recorded in `first_error`, which the
// others watch.
Status run_workers(std::size_t workers, FirstError& first_error,
                   const std::function<Status(std::size_t)>& work);

}  // namespace haul::flow
