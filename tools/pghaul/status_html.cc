#include "tools/pghaul/status_html.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/format.h"
#include "tools/pghaul/quantity.h"

namespace haul::cli {

namespace {

using verify::elapsed;
using verify::StatusBackup;
using verify::StatusReport;

// More would be narrower than a pixel, or longer than anyone reads.
constexpr std::size_t kBarsMax = 120;
constexpr std::size_t kRowsMax = 200;
// Of the pictures, in their own units; they grow and shrink with the page.
constexpr double kWidth = 1000;
constexpr double kMargin = 10;
constexpr int kTicks = 4;
constexpr double kBarHeight = 140;
constexpr double kBarTop = 36;  // above it a label

constexpr std::string_view kHead = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
:root { color-scheme: light dark; --back: #fff; --fore: #1c2128; --faint: #59636e; --line: #d1d9e0;
  --panel: #f6f8fa; --good: #1a7f37; --bad: #cf222e; --main: #0969da; --second: #8250df; }
@media (prefers-color-scheme: dark) { :root { --back: #0d1117; --fore: #e6edf3; --faint: #9198a1;
  --line: #3d444d; --panel: #151b23; --good: #3fb950; --bad: #f85149; --main: #4493f8;
  --second: #ab7df8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1rem; background: var(--back); color: var(--fore);
  font: 1rem/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .3rem 0; } .faint { color: var(--faint); }
.state { color: var(--back); border-radius: 1rem; padding: .1rem .7rem; white-space: nowrap; }
.good { background: var(--good); } .bad { background: var(--bad); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .7rem;
  margin-top: 1rem; }
.card { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem;
  padding: .6rem .8rem; }
.card b { display: block; font-size: 1.3rem; }
ul.wrong { padding-left: 1.2rem; } ul.wrong li::marker { color: var(--bad); }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--faint); font-size: 14px; }
@media (max-width: 40rem) { svg text { font-size: 26px; } svg text.minor { display: none; } }
.axis { stroke: var(--line); } .covered { fill: var(--good); } .point { fill: var(--main); }
.lost { fill: var(--bad); } .bar { fill: var(--main); } .bar.full { fill: var(--second); }
.key { display: inline-block; width: .8rem; height: .8rem; border-radius: .2rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line);
  white-space: nowrap; } td.number, th.number { text-align: right; }
</style>
)";

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&': result += "&amp;"; break;
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      case '"': result += "&quot;"; break;
      default: result += c;
    }
  }
  return result;
}

// To when a backup can be recovered, from its end on; nothing: not at all.
std::optional<UtcTime> recoverable_until(const StatusBackup& backup) {
  if (backup.window.missing) return std::nullopt;
  const UtcTime finished = backup.snapshot.finished;
  return backup.window.last_transaction ? std::max(finished, backup.window.last_transaction->time)
                                        : finished;
}

std::string when(UtcTime time) { return to_iso8601(time); }

std::string card(std::string_view name, std::string_view value, std::string_view more) {
  return format("<div class=\"card\">{}<b>{}</b><span class=\"faint\">{}</span></div>\n", name,
                escaped(value), escaped(more));
}

std::string backup_card(const StatusReport& report) {
  const StatusBackup* const newest = report.newest_backup();
  if (newest == nullptr) return card("Newest backup", "none", "nothing can be recovered");
  return card("Newest backup", print_age(elapsed(newest->snapshot.finished, report.now)) + " ago",
              newest->snapshot.id);
}

std::string rpo_card(const StatusReport& report) {
  if (!report.exposed || !report.exposed->time) return card("Would be lost now", "everything", "");
  const verify::ExposedWal& exposed = *report.exposed;
  const std::string bytes =
      exposed.bytes ? print_size(*exposed.bytes) + " of WAL" : "the server was not asked";
  return card("Would be lost now", print_age(*exposed.time), bytes);
}

std::string verified_card(const StatusReport& report) {
  const verify::Coverage& coverage = report.coverage;
  if (!coverage.unread_since) return card("Every byte verified within", "-", "nothing is stored");
  const std::string never = coverage.never_read_bytes == 0
                                ? "all of it was read"
                                : print_size(coverage.never_read_bytes) + " never read";
  return card("Every byte verified within", print_age(elapsed(*coverage.unread_since, report.now)),
              never);
}

std::string stored_card(const StatusReport& report) {
  std::uint64_t source = 0;
  std::uint64_t stored = 0;
  for (const StatusBackup& backup : report.backups) {
    source += backup.snapshot.statistics.source_bytes;
    stored += backup.snapshot.statistics.stored_bytes;
  }
  std::string more = format("{} in {} backups", print_size(source), report.backups.size());
  if (stored > 0) {
    more += format(", {:.1f} times what they added",
                   static_cast<double>(source) / static_cast<double>(stored));
  }
  return card("Stored, with WAL", print_size(report.coverage.stored_bytes), more);
}

std::string problems(const ClusterStatus& status) {
  if (status.good()) return "";
  std::string text = "<h2>What is wrong</h2>\n<ul class=\"wrong\">\n";
  for (const auto* lines : {&status.report.problems, &status.breaches}) {
    for (const std::string& line : *lines) text += format("<li>{}</li>\n", escaped(line));
  }
  return text + "</ul>\n";
}

// Where times lie in a picture.
class TimeAxis {
 public:
  TimeAxis(UtcTime begin, UtcTime end)
      : begin_(begin.microseconds),
        span_(std::max<std::int64_t>(end.microseconds - begin.microseconds, 1)) {}

  double at(UtcTime time) const {
    const double part =
        static_cast<double>(time.microseconds - begin_) / static_cast<double>(span_);
    return kMargin + std::clamp(part, 0.0, 1.0) * (kWidth - 2 * kMargin);
  }
  // A line at this height, with a few times beneath.
  std::string draw(double height) const {
    std::string text =
        format("<path class=\"axis\" d=\"M{} {}H{}\"/>\n", kMargin, height, kWidth - kMargin);
    for (int i = 0; i <= kTicks; ++i) {
      const UtcTime time{begin_ + span_ / kTicks * i};
      const char* const anchor = i == 0 ? "start" : i == kTicks ? "end" : "middle";
      text += format(
          "<path class=\"axis\" d=\"M{0:.1f} {1}v6\"/><text{3} x=\"{0:.1f}\" "
          "y=\"{2}\" text-anchor=\"{4}\">{5}</text>\n",
          at(time), height, height + 26, i % 2 == 1 ? " class=\"minor\"" : "", anchor, label(time));
    }
    return text;
  }

 private:
  // The date, or within two days the time.
  std::string label(UtcTime time) const {
    constexpr std::int64_t kTwoDays = 2 * 86'400'000'000;
    const std::string text = to_iso8601(time);
    return span_ > kTwoDays ? text.substr(0, 10) : text.substr(11, 5);
  }

  std::int64_t begin_;
  std::int64_t span_;
};

// What backups and WAL cover, without what overlaps.
std::vector<std::pair<UtcTime, UtcTime>> covered_times(const StatusReport& report) {
  std::vector<std::pair<UtcTime, UtcTime>> spans;
  for (const StatusBackup& backup : report.backups) {
    if (const auto until = recoverable_until(backup)) {
      spans.emplace_back(backup.snapshot.finished, *until);
    }
  }
  std::ranges::sort(spans);
  std::vector<std::pair<UtcTime, UtcTime>> merged;
  for (const auto& span : spans) {
    if (!merged.empty() && span.first <= merged.back().second) {
      merged.back().second = std::max(merged.back().second, span.second);
    } else {
      merged.push_back(span);
    }
  }
  return merged;
}

std::string timeline(const StatusReport& report) {
  if (report.backups.empty()) return "";
  const TimeAxis axis(report.backups.front().snapshot.started, report.now);
  std::string text = format(
      "<h2>Moments that can be recovered</h2>\n<svg viewBox=\"0 0 {} 120\" role=\"img\" "
      "aria-label=\"Backups and the times that can be recovered\">\n",
      kWidth);
  for (const auto& [from, until] : covered_times(report)) {
    text += format(
        "<rect class=\"covered\" x=\"{:.1f}\" y=\"50\" width=\"{:.1f}\" height=\"24\">"
        "<title>{} to {}</title></rect>\n",
        axis.at(from), std::max(2.0, axis.at(until) - axis.at(from)), when(from), when(until));
  }
  for (const StatusBackup& backup : report.backups) {
    text += format(
        "<circle class=\"{}\" cx=\"{:.1f}\" cy=\"28\" r=\"7\"><title>{}</title>"
        "</circle>\n",
        backup.window.missing ? "lost" : "point", axis.at(backup.snapshot.finished),
        escaped(backup.snapshot.id));
  }
  text += axis.draw(84);
  return text +
         "</svg>\n<p class=\"faint\"><span class=\"key\" style=\"background:var(--main)\"></span> "
         "backup <span class=\"key\" style=\"background:var(--good)\"></span> WAL leads to any "
         "moment</p>\n";
}

std::string bar(const StatusBackup& backup, double x, double width, std::uint64_t greatest) {
  const std::uint64_t bytes = backup.snapshot.statistics.stored_bytes;
  const double height =
      std::max(1.0, kBarHeight * static_cast<double>(bytes) /
                        static_cast<double>(std::max<std::uint64_t>(greatest, 1)));
  return format(
      "<rect class=\"bar{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\">"
      "<title>{}: {} added, {} changed, {} in all</title></rect>\n",
      backup.snapshot.id.ends_with('F') ? " full" : "", x, kBarTop + kBarHeight - height, width,
      height, escaped(backup.snapshot.id), print_size(bytes),
      print_size(backup.snapshot.statistics.changed_bytes),
      print_size(backup.snapshot.statistics.source_bytes));
}

std::string sizes(const StatusReport& report) {
  if (report.backups.empty()) return "";
  const std::size_t first = report.backups.size() > kBarsMax ? report.backups.size() - kBarsMax : 0;
  const std::span shown = std::span(report.backups).subspan(first);
  std::uint64_t greatest = 0;
  for (const StatusBackup& backup : shown) {
    greatest = std::max(greatest, backup.snapshot.statistics.stored_bytes);
  }
  std::string text = format(
      "<h2>What each backup added</h2>\n<svg viewBox=\"0 0 {} {}\" role=\"img\" "
      "aria-label=\"Bytes that each backup added\">\n<text x=\"{}\" y=\"26\">{}</text>\n"
      "<path class=\"axis\" d=\"M{} {}H{}\"/>\n",
      kWidth, kBarTop + kBarHeight + 8, kMargin, print_size(greatest), kMargin,
      kBarTop + kBarHeight, kWidth - kMargin);
  const double step = (kWidth - 2 * kMargin) / static_cast<double>(shown.size());
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const double width = std::min(40.0, step * 0.8);
    text += bar(shown[i], kMargin + step * static_cast<double>(i) + (step - width) / 2, width,
                greatest);
  }
  return text +
         "</svg>\n<p class=\"faint\"><span class=\"key\" style=\"background:var(--second)\"></span>"
         " full <span class=\"key\" style=\"background:var(--main)\"></span> overlaid on the one "
         "before</p>\n";
}

std::string gaps(const StatusReport& report) {
  if (report.gaps.empty()) return "";
  std::string text = "<h2>WAL that is missing</h2>\n<ul class=\"wrong\">\n";
  for (const wal::WalGap& gap : report.gaps) {
    text += format("<li>{} to {}, {} segments</li>\n", escaped(gap.first), escaped(gap.last),
                   gap.segments);
  }
  return text + "</ul>\n";
}

std::string table(const StatusReport& report) {
  if (report.backups.empty()) return "";
  std::string text =
      "<h2>Backups</h2>\n<div class=\"scroll\"><table>\n<tr><th>Backup</th><th>Ended</th>"
      "<th class=\"number\">Took</th><th class=\"number\">Size</th><th class=\"number\">Changed"
      "</th><th class=\"number\">Added</th><th>Recoverable to</th></tr>\n";
  std::size_t rows = 0;
  for (auto backup = report.backups.rbegin(); backup != report.backups.rend() && rows < kRowsMax;
       ++backup, ++rows) {
    const repository::Snapshot& snapshot = backup->snapshot;
    const auto until = recoverable_until(*backup);
    text += format(
        "<tr><td>{}</td><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}"
        "</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td></tr>\n",
        escaped(snapshot.id), when(snapshot.finished),
        print_duration(elapsed(snapshot.started, snapshot.finished)),
        print_size(snapshot.statistics.source_bytes), print_size(snapshot.statistics.changed_bytes),
        print_size(snapshot.statistics.stored_bytes),
        until ? when(*until) : format("nothing: {} is missing", escaped(*backup->window.missing)));
  }
  text += "</table></div>\n";
  if (report.backups.size() > rows) {
    text += format("<p class=\"faint\">and {} older ones</p>\n", report.backups.size() - rows);
  }
  return text;
}

}  // namespace

std::string status_html(const ClusterStatus& status) {
  const StatusReport& report = status.report;
  const std::size_t wrong = report.problems.size() + status.breaches.size();
  std::string text(kHead);
  text += format("<title>pghaul: {}</title>\n</head>\n<body>\n", escaped(status.cluster));
  text += format("<h1>{} <span class=\"state {}\">{}</span></h1>\n<p class=\"faint\">{}</p>\n",
                 escaped(status.cluster), status.good() ? "good" : "bad",
                 status.good() ? "good" : format("{} wrong", wrong), when(report.now));
  text += "<div class=\"cards\">\n" + backup_card(report) + rpo_card(report) +
          verified_card(report) + stored_card(report) + "</div>\n";
  text += problems(status) + gaps(report) + timeline(report) + sizes(report) + table(report);
  return text + "</body>\n</html>\n";
}

}  // namespace haul::cli
