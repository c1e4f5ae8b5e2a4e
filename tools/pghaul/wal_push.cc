#include <algorithm>

#include "base/format.h"
#include "engine/flow/workers.h"
#include "engine/wal/push.h"
#include "tools/pghaul/commands.h"

namespace haul::cli {

namespace {

constexpr std::uint64_t kBatchMax = 10'000;
// A segment of 16 MiB keeps no more of them busy, and the server has other work.
constexpr std::size_t kWorkersMax = 8;

}  // namespace

Result<int> run_wal_push(Context& context) {
  const repository::Cluster cluster = HAUL_TRY(open_cluster(context));
  context.subject = Subject::request;
  wal::PushOptions options;
  options.path =
      absolute_path(context.platform->working_directory(), context.settings->arguments().front());
  options.batch = HAUL_TRY(context.settings->number("batch", {0, kBatchMax})).value_or(0);
  options.workers = std::min(flow::resolve_workers(0), kWorkersMax);

  wal::PushEnvironment environment;
  environment.cluster = &cluster;
  environment.open_directory = directory_opener(context);
  environment.clock = &context.platform->clock();
  environment.stop = context.stop;
  auto report = wal::push_wal(options, environment);
  if (!report) {
    const bool of_server = environment.side == wal::PushEnvironment::Side::server;
    context.subject = of_server ? Subject::source : Subject::repository;
    return std::move(report).take_error();
  }
  for (const std::string& warning : report->warnings) context.console->warning(warning);
  for (const std::string& name : report->stored) {
    context.console->debug(format("archived {}", name));
  }
  for (const std::string& name : report->were_there) {
    context.console->debug(format("{} was archived before", name));
  }
  return kDone;
}

}  // namespace haul::cli
