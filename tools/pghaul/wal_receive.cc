#include <algorithm>

#include "base/format.h"
#include "engine/flow/workers.h"
#include "engine/wal/receiver.h"
#include "tools/pghaul/commands.h"
#include "tools/pghaul/json_output.h"
#include "tools/pghaul/quantity.h"
#include "tools/pghaul/service_notifier.h"

namespace haul::cli {

namespace {

using wal::ReceiverEnvironment;
using wal::ReceiverReport;

// Compressing a segment is done between two messages, and the server has other work.
constexpr std::size_t kWorkersMax = 2;
constexpr std::chrono::milliseconds kFlushIntervalMax = std::chrono::minutes{1};
constexpr std::chrono::nanoseconds kStatusInterval = std::chrono::seconds{10};

Result<wal::ReceiverOptions> options_of(const Settings& settings) {
  wal::ReceiverOptions options;
  options.slot = settings.value_or("slot", options.slot);
  options.workers = std::min(flow::resolve_workers(0), kWorkersMax);
  if (const auto text = settings.value("flush-interval")) {
    auto parsed = parse_duration(*text);
    if (parsed && *parsed > kFlushIntervalMax) {
      parsed = Error(ErrorCode::usage, format("\"{}\" is more than a minute", *text));
    }
    if (!parsed) {
      return std::move(parsed).take_error().with_context(settings.origin("flush-interval"));
    }
    options.flush_interval = std::chrono::ceil<std::chrono::milliseconds>(*parsed);
  }
  if (HAUL_TRY(settings.flag("synchronous"))) options.flush_interval = {};
  return options;
}

// Tells the service manager and the log.
class Observer final : public wal::ReceiverObserver {
 public:
  explicit Observer(Context& context)
      : console_(*context.console),
        clock_(context.platform->clock()),
        service_(*context.platform) {}

  void streaming(const ReceiverReport& report) override {
    streams_ = true;
    const std::string line =
        format("streaming timeline {} from {}", report.timeline.value, to_string(report.durable));
    console_.info(line);
    service_.send(format("READY=1\nSTATUS={}", line));
  }

  void alive(const ReceiverReport& report) override {
    service_.alive();
    const auto now = clock_.now_monotonic();
    if (!streams_ || now - told_at_ < kStatusInterval) return;
    told_at_ = now;
    service_.send(format("STATUS=timeline {}, durable up to {}, {} segments archived",
                         report.timeline.value, to_string(report.durable),
                         report.segments_stored + report.segments_present));
  }

  void lost(const Error& why, std::chrono::nanoseconds pause) override {
    streams_ = false;
    const std::string line =
        format("{}; trying again in {} ms", why.message(),
               std::chrono::duration_cast<std::chrono::milliseconds>(pause).count());
    console_.warning(line);
    service_.send("STATUS=" + line);
  }

  void ends() { service_.send("STOPPING=1"); }

 private:
  Console& console_;
  Clock& clock_;
  ServiceNotifier service_;
  bool streams_ = false;
  std::chrono::nanoseconds told_at_{};
};

void print_report(Context& context, const std::string& cluster, const ReceiverReport& report) {
  if (context.output == Context::Output::json) {
    return print_json(context, wal_receive_json(cluster, report));
  }
  if (report.sessions == 0) return print_summary(context, "nothing was received");
  print_summary(context,
                format("received {}..{} on timeline {}, {} segments archived",
                       to_string(report.start), to_string(report.durable), report.timeline.value,
                       report.segments_stored + report.segments_present));
}

}  // namespace

Result<int> run_wal_receive(Context& context) {
  const repository::Cluster cluster = HAUL_TRY(open_cluster(context));
  context.subject = Subject::request;
  const wal::ReceiverOptions options = HAUL_TRY(options_of(*context.settings));
  const postgres::ConnectionOptions connection = HAUL_TRY(connection_options(*context.settings));
  Observer observer(context);
  ReceiverEnvironment environment;
  environment.cluster = &cluster;
  environment.connect = [&] { return postgres::open_replication_stream(connection, context.stop); };
  environment.clock = &context.platform->clock();
  environment.random = &context.platform->random();
  environment.observer = &observer;
  environment.stop = context.stop;
  // What takes its time after this is the last flush.
  const std::stop_callback on_stop(context.stop, [&observer] { observer.ends(); });
  auto report = wal::receive_wal(options, environment);
  if (!report) {
    const bool of_server = environment.side == ReceiverEnvironment::Side::server;
    context.subject = of_server ? Subject::source : Subject::repository;
    return std::move(report).take_error();
  }
  print_report(context, cluster.name, *report);
  return kDone;
}

}  // namespace haul::cli
