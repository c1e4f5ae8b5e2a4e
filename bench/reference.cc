// The reference that a backup or a restore is compared with: the same bytes read and written by the
// same rings at the best queue depth, and nothing done to them.
//
//   reference backup DIRECTORY BYTES OUT        reads DIRECTORY's files, writes BYTES to OUT in
//                                               files of 64 MiB, as packs are
//   reference restore STORED DIRECTORY OUT      reads STORED's files, writes files of the names and
//                                               sizes of DIRECTORY's to OUT
//   reference changed OLD NEW [-Z CODEC]        compares two copies of a data directory and
//                                               compresses the pages of NEW that OLD does not have
//                                               (bench/changed_pages.h; default lz4)
//
// Options of the first two:
//
//   --files LIST         of DIRECTORY only the files of this list, one path a line
//   --io uring|threads   the back end (default: uring where the kernel allows it)
//   --depth N|auto       operations in flight (default auto: the best of some trials)
//   --operation-kib N    size of an operation, with --depth N (default 1024)
//   --rate N             bytes a second that both sides begin together, at most (with --depth N)
//
// OUT is created if it is absent; what is written there stays. Prints one line of JSON; trials are
// reported on standard error.

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/format.h"
#include "base/json.h"
#include "bench/changed_pages.h"
#include "bench/paced_copy.h"
#include "io/aligned_buffer.h"
#include "io/posix_directory.h"

namespace haul {
namespace {

using bench::FileSet;
using bench::PacedCopyOutcome;
using bench::RingSetting;
using bench::SizedFile;

constexpr std::uint64_t kPackBytes = 64ULL << 20;
constexpr std::size_t kOperationKibDefault = 1024;
constexpr std::size_t kOperationKibMax = 65536;
constexpr std::size_t kDepthMax = 1024;
// What a trial reads and writes at most: long enough to outlast a device's own cache of writes in
// part, short enough for eight of them.
constexpr std::uint64_t kTrialBytes = 1ULL << 30;
constexpr std::array<std::size_t, 2> kTrialOperationsKib{256, 1024};
constexpr std::array<std::size_t, 4> kTrialDepths{8, 16, 32, 64};

enum class Mode { backup, restore };

struct Request {
  Mode mode = Mode::backup;
  std::array<std::string, 3> operands;
  std::optional<std::string> list;
  io::RingBackend backend = io::RingBackend::automatic;
  std::optional<std::size_t> depth;  // nothing: the best
  std::size_t operation_kib = kOperationKibDefault;
  std::uint64_t bytes_per_second = 0;  // 0: no limit
};

Error usage(std::string message) { return Error(ErrorCode::usage, std::move(message)); }

Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t max) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), number);
  if (error != std::errc() || end != text.end() || number > max) {
    return usage(format("\"{}\" is no number up to {}", text, max));
  }
  return number;
}

Status take_option(Request& request, std::string_view name, std::string_view value) {
  if (name == "--files") {
    request.list = value;
  } else if (name == "--io" && value == "uring") {
    request.backend = io::RingBackend::uring;
  } else if (name == "--io" && value == "threads") {
    request.backend = io::RingBackend::threads;
  } else if (name == "--depth" && value == "auto") {
    request.depth.reset();
  } else if (name == "--depth") {
    request.depth = HAUL_TRY(parse_number(value, kDepthMax));
    if (*request.depth == 0) return usage("--depth 0: nothing would ever be read");
  } else if (name == "--operation-kib") {
    request.operation_kib = HAUL_TRY(parse_number(value, kOperationKibMax));
    if (request.operation_kib == 0 || request.operation_kib % 4 != 0) {
      return usage(format("--operation-kib {}: not a multiple of 4", value));
    }
  } else if (name == "--rate") {
    request.bytes_per_second = HAUL_TRY(parse_number(value, UINT64_MAX));
    if (request.bytes_per_second == 0) return usage("--rate 0: nothing would ever be read");
  } else {
    return usage(format("{} {}: no such option", name, value));
  }
  return ok();
}

Result<Request> parse(const std::vector<std::string>& arguments) {
  Request request;
  std::vector<std::string> plain;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (!arguments[i].starts_with("--")) {
      plain.push_back(arguments[i]);
    } else if (i + 1 == arguments.size()) {
      return usage(format("{} needs a value", arguments[i]));
    } else {
      HAUL_TRY(take_option(request, arguments[i], arguments[i + 1]));
      ++i;
    }
  }
  if (plain.size() != 4 || (plain[0] != "backup" && plain[0] != "restore")) {
    return usage(
        "reference backup DIRECTORY BYTES OUT | restore STORED DIRECTORY OUT [OPTION...] | "
        "changed OLD NEW [-Z CODEC]");
  }
  if (request.bytes_per_second > 0 && !request.depth) {
    return usage("--rate needs --depth N: trials are made as fast as possible");
  }
  request.mode = plain[0] == "backup" ? Mode::backup : Mode::restore;
  std::copy(plain.begin() + 1, plain.end(), request.operands.begin());
  return request;
}

// Every regular file beneath, sorted by path as directories are listed.
Status collect(io::Directory& root, const std::string& path, std::vector<SizedFile>& files) {
  for (const io::DirectoryEntry& entry : HAUL_TRY(root.list(path))) {
    const std::string below = path.empty() ? entry.name : path + "/" + entry.name;
    if (entry.kind == io::FileKind::directory) HAUL_TRY(collect(root, below, files));
    if (entry.kind != io::FileKind::regular) continue;
    const std::uint64_t size_bytes = HAUL_TRY(root.info(below)).size_bytes;
    files.push_back({below, size_bytes});
  }
  return ok();
}

Result<std::vector<SizedFile>> collect_all(io::Directory& root) {
  std::vector<SizedFile> files;
  HAUL_TRY(collect(root, "", files));
  return files;
}

// DIRECTORY's files, or those of the list.
Result<std::vector<SizedFile>> cluster_files(io::Directory& root, const Request& request) {
  if (!request.list) return collect_all(root);
  std::vector<SizedFile> files;
  std::ifstream list(*request.list);
  for (std::string path; std::getline(list, path);) {
    const std::uint64_t size_bytes = HAUL_TRY(root.info(path)).size_bytes;
    files.push_back({path, size_bytes});
  }
  if (!list.eof()) return Error(ErrorCode::io, format("cannot read {}", *request.list));
  return files;
}

std::vector<SizedFile> packs_of(std::uint64_t bytes) {
  std::vector<SizedFile> files;
  for (std::uint64_t at = 0; at < bytes; at += kPackBytes) {
    files.push_back({format("{:06}", files.size()), std::min(kPackBytes, bytes - at)});
  }
  return files;
}

struct Plan {
  std::unique_ptr<io::Directory> source;
  std::unique_ptr<io::Directory> target;
  std::vector<SizedFile> reads;
  std::vector<SizedFile> writes;
};

Result<std::unique_ptr<io::Directory>> open_or_create(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directory(path, error);
  if (error) return error_from_errno(error.value(), format("cannot create {}", path));
  return io::open_posix_directory(path);
}

Result<Plan> make_plan(const Request& request) {
  Plan plan;
  plan.source = HAUL_TRY(io::open_posix_directory(request.operands[0]));
  if (request.mode == Mode::backup) {
    plan.reads = HAUL_TRY(cluster_files(*plan.source, request));
    plan.writes = packs_of(HAUL_TRY(parse_number(request.operands[1], UINT64_MAX)));
  } else {
    plan.reads = HAUL_TRY(collect_all(*plan.source));
    const auto shape = HAUL_TRY(io::open_posix_directory(request.operands[1]));
    plan.writes = HAUL_TRY(cluster_files(*shape, request));
  }
  if (bench::total_bytes(plan.reads) + bench::total_bytes(plan.writes) == 0) {
    return usage("there is nothing to read or to write");
  }
  plan.target = HAUL_TRY(open_or_create(request.operands[2]));
  return plan;
}

// The largest files, as many as make up a share of all the bytes.
std::vector<SizedFile> sample(std::vector<SizedFile> files, double share) {
  auto left = static_cast<std::uint64_t>(static_cast<double>(bench::total_bytes(files)) * share);
  std::ranges::stable_sort(files, std::greater(), &SizedFile::size_bytes);
  std::vector<SizedFile> some;
  for (SizedFile& file : files) {
    if (left == 0) break;
    file.size_bytes = std::min(file.size_bytes, left);
    left -= file.size_bytes;
    some.push_back(std::move(file));
  }
  return some;
}

// A part of the copy, into a directory that is removed again.
Result<PacedCopyOutcome> run_trial(const Plan& plan, const RingSetting& setting) {
  const std::uint64_t all = bench::total_bytes(plan.reads) + bench::total_bytes(plan.writes);
  const double share = std::min(1.0, static_cast<double>(kTrialBytes) / static_cast<double>(all));
  std::vector<SizedFile> writes = sample(plan.writes, share);
  for (std::size_t i = 0; i < writes.size(); ++i) writes[i].path = format("{}", i);
  HAUL_TRY(plan.target->make_directory("trial", 0700));
  const auto target = HAUL_TRY(plan.target->open_directory("trial"));
  const PacedCopyOutcome outcome = HAUL_TRY(bench::paced_copy(
      {plan.source.get(), sample(plan.reads, share)}, {target.get(), writes}, setting));
  for (const SizedFile& file : writes) HAUL_TRY(target->remove_file(file.path));
  HAUL_TRY(plan.target->remove_directory("trial"));
  return outcome;
}

Result<RingSetting> best_setting(const Plan& plan, io::RingBackend backend) {
  // The first trial is run for nothing: it finds what lies beneath the device's caches cold.
  HAUL_TRY(run_trial(plan, {backend, 32, kOperationKibDefault << 10, 0}));
  RingSetting best;
  double best_rate = 0;
  for (const std::size_t operation_kib : kTrialOperationsKib) {
    for (const std::size_t depth : kTrialDepths) {
      const RingSetting setting{backend, depth, operation_kib << 10, 0};
      const PacedCopyOutcome outcome = HAUL_TRY(run_trial(plan, setting));
      const double rate =
          static_cast<double>(outcome.bytes_read + outcome.bytes_written) / outcome.seconds;
      std::fprintf(stderr, "trial: %zu KiB, depth %zu: %.0f MB/s\n", operation_kib, depth,
                   rate / 1e6);
      if (rate <= best_rate) continue;
      best_rate = rate;
      best = setting;
    }
  }
  return best;
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Status run_changed(const std::vector<std::string>& arguments) {
  const bool has_codec = arguments.size() == 5 && arguments[3] == "-Z";
  if (arguments.size() != 3 && !has_codec) return usage("reference changed OLD NEW [-Z CODEC]");
  compress::CodecChoice codec;
  if (has_codec) codec = HAUL_TRY(compress::parse_codec_choice(arguments[4]));
  const auto before = HAUL_TRY(io::open_posix_directory(arguments[1]));
  const auto after = HAUL_TRY(io::open_posix_directory(arguments[2]));
  const auto begin = std::chrono::steady_clock::now();
  const bench::ChangedPages changed = HAUL_TRY(bench::changed_pages(*before, *after, codec));
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  Json json = Json::object();
  json.set("changed_pages", changed.pages);
  json.set("changed_bytes", changed.bytes);
  json.set("compressed_bytes", changed.compressed_bytes);
  json.set("seconds", elapsed.count());
  std::puts(json.dump().c_str());
  return ok();
}

Status run(const std::vector<std::string>& arguments) {
  if (!arguments.empty() && arguments[0] == "changed") return run_changed(arguments);
  const Request request = HAUL_TRY(parse(arguments));
  const Plan plan = HAUL_TRY(make_plan(request));
  const RingSetting setting =
      request.depth ? RingSetting{request.backend, *request.depth, request.operation_kib << 10,
                                  request.bytes_per_second}
                    : HAUL_TRY(best_setting(plan, request.backend));
  const double cpu_before = cpu_seconds();
  const PacedCopyOutcome outcome = HAUL_TRY(bench::paced_copy(
      {plan.source.get(), plan.reads}, {plan.target.get(), plan.writes}, setting));
  Json json = Json::object();
  json.set("seconds", outcome.seconds);
  json.set("bytes_read", outcome.bytes_read);
  json.set("bytes_written", outcome.bytes_written);
  json.set("depth", std::uint64_t{setting.depth});
  json.set("operation_bytes", std::uint64_t{setting.operation_bytes});
  json.set("backend", outcome.backend);
  json.set("cpu_seconds", cpu_seconds() - cpu_before);
  std::puts(json.dump().c_str());
  return ok();
}

}  // namespace
}  // namespace haul

int main(int argc, char** argv) {
  const haul::Status status = haul::run(std::vector<std::string>(argv + 1, argv + argc));
  if (status) return 0;
  std::fprintf(stderr, "reference: %s\n", status.error().message().c_str());
  return status.error().code() == haul::ErrorCode::usage ? 2 : 1;
}
