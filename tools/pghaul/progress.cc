#include "tools/pghaul/progress.h"

#include <algorithm>

#include "base/format.h"
#include "tools/pghaul/quantity.h"

namespace haul::cli {

namespace {

using std::chrono::nanoseconds;

constexpr std::size_t kBarWidth = 20;

double fraction_of(const ProgressView& view) {
  if (view.total_bytes == 0) return 0;
  return std::min(1.0,
                  static_cast<double>(view.done_bytes) / static_cast<double>(view.total_bytes));
}

// "[=============>      ]"
std::string bar(double fraction) {
  const auto filled = static_cast<std::size_t>(fraction * static_cast<double>(kBarWidth));
  std::string text(filled, '=');
  if (filled < kBarWidth) {
    text += '>';
    text.append(kBarWidth - filled - 1, ' ');
  }
  return "[" + text + "]";
}

std::uint64_t rate_of(const ProgressView& view, nanoseconds elapsed) {
  const double seconds = std::chrono::duration<double>(elapsed).count();
  return seconds <= 0 ? 0
                      : static_cast<std::uint64_t>(static_cast<double>(view.done_bytes) / seconds);
}

// Nothing while there is no rate yet.
std::optional<nanoseconds> left_of(const ProgressView& view, nanoseconds elapsed) {
  const std::uint64_t rate = rate_of(view, elapsed);
  if (rate == 0 || view.done_bytes > view.total_bytes) return std::nullopt;
  return std::chrono::seconds((view.total_bytes - view.done_bytes) / rate);
}

std::chrono::milliseconds interval_of(ProgressMode mode) {
  switch (mode) {
    case ProgressMode::redrawn: return std::chrono::milliseconds{250};
    case ProgressMode::json: return std::chrono::seconds{1};
    case ProgressMode::lines:
    case ProgressMode::none: break;
  }
  return std::chrono::seconds{30};
}

}  // namespace

std::string progress_line(const ProgressView& view, nanoseconds elapsed) {
  if (view.kind == ProgressView::Kind::waiting || view.total_bytes == 0) {
    return format("{}  {}", view.what, view.phase);
  }
  const double fraction = fraction_of(view);
  std::string line =
      format("{}  {}  {:.0f}%  {}  {}/s", view.what, bar(fraction), fraction * 100,
             print_sizes(view.done_bytes, view.total_bytes), print_size(rate_of(view, elapsed)));
  if (view.stored_bytes && *view.stored_bytes > 0) {
    line += format("  stored {} ({:.1f}x)", print_size(*view.stored_bytes),
                   static_cast<double>(view.done_bytes) / static_cast<double>(*view.stored_bytes));
  }
  if (const auto left = left_of(view, elapsed)) line += format("  ETA {}", print_duration(*left));
  if (!view.io_backend.empty()) line += format("  io: {}", view.io_backend);
  return line;
}

Json progress_json(const ProgressView& view, nanoseconds elapsed) {
  Json json = Json::object();
  json.set("schema", 1);
  json.set("progress", view.what);
  json.set("phase", view.phase);
  json.set("done_bytes", view.done_bytes);
  json.set("total_bytes", view.total_bytes);
  json.set("stored_bytes", view.stored_bytes ? Json(*view.stored_bytes) : Json());
  json.set("bytes_per_second", rate_of(view, elapsed));
  json.set("io_backend", view.io_backend.empty() ? Json() : Json(view.io_backend));
  return json;
}

ProgressReporter::ProgressReporter(ProgressMode mode, Console& console, Clock& clock,
                                   std::function<ProgressView()> look)
    : mode_(mode), console_(&console), clock_(&clock), look_(std::move(look)) {
  if (mode_ == ProgressMode::none) return;
  thread_ = std::jthread([this](std::stop_token stop) { run(std::move(stop)); });
}

ProgressReporter::~ProgressReporter() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  if (mode_ == ProgressMode::redrawn) console_->redraw("");
}

void ProgressReporter::run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, stop, interval_of(mode_), [] { return false; });
    if (stop.stop_requested()) return;
    show();
  }
}

void ProgressReporter::show() {
  const ProgressView view = look_();
  const nanoseconds now = clock_->now_monotonic();
  if (view.kind == ProgressView::Kind::counting && !counting_since_) counting_since_ = now;
  const nanoseconds elapsed = counting_since_ ? now - *counting_since_ : nanoseconds{0};
  if (mode_ == ProgressMode::json) {
    console_->print(progress_json(view, elapsed).dump());
  } else if (mode_ == ProgressMode::redrawn) {
    console_->redraw(progress_line(view, elapsed));
  } else {
    console_->print(progress_line(view, elapsed));
  }
}

}  // namespace haul::cli
