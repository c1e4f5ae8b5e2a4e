#include "base/format.h"
#include "engine/wal/get.h"
#include "engine/wal/server_files.h"
#include "tools/pghaul/commands.h"

namespace haul::cli {

namespace {

constexpr std::uint64_t kPrefetchDefault = 8;
constexpr std::uint64_t kPrefetchMax = 1000;

// The repository that restore_command was written for.
Status check_repository_id(const Context& context) {
  const auto wanted = context.settings->value("repo-id");
  if (!wanted) return ok();
  repository::RepositoryId id;
  if (!from_hex(*wanted, id.bytes)) {
    return Error(ErrorCode::usage, format("{}: \"{}\" is no repository id",
                                          context.settings->origin("repo-id"), *wanted));
  }
  if (context.repository->id() == id) return ok();
  return Error(ErrorCode::no_repository,
               format("{} is repository {}, not {}", context.repository->name(),
                      to_string(context.repository->id()), *wanted),
               "check that the right file system is mounted");
}

Result<std::uint64_t> segments_ahead(const Context& context) {
  return HAUL_TRY(context.settings->number("prefetch", {0, kPrefetchMax}))
      .value_or(kPrefetchDefault);
}

std::string spool_path(const Context& context, const std::string& target) {
  const std::string beside = format("{}/{}", wal::split_path(target).directory, wal::kSpoolName);
  return context.settings->path("spool").value_or(beside);
}

// wal prefetch for the same target, with everything said that was found out here.
std::vector<std::string> prefetcher_words(const Context& context, const std::string& cluster,
                                          const wal::GetOptions& options, std::uint64_t segments) {
  std::vector<std::string> words = {"wal",
                                    "prefetch",
                                    "--repo=" + context.settings->path("repo").value_or(""),
                                    "--repo-id=" + to_string(context.repository->id()),
                                    "--cluster=" + cluster,
                                    "--spool=" + options.spool,
                                    format("--prefetch={}", segments),
                                    options.target};
  if (const auto config = context.settings->path("config")) words.push_back("--config=" + *config);
  return words;
}

wal::GetEnvironment environment_of(Context& context, const repository::Cluster& cluster) {
  wal::GetEnvironment environment;
  environment.repository = &*context.repository;
  environment.cluster = &cluster;
  environment.open_directory = directory_opener(context);
  environment.clock = &context.platform->clock();
  environment.stop = context.stop;
  environment.host = &context.platform->host();
  environment.log = context.console;
  return environment;
}

}  // namespace

Result<int> run_wal_get(Context& context) {
  const repository::Cluster cluster = HAUL_TRY(open_cluster(context));
  HAUL_TRY(check_repository_id(context));
  const std::vector<std::string>& arguments = context.settings->arguments();
  wal::GetOptions options;
  options.name = arguments[0];
  options.target = absolute_path(context.platform->working_directory(), arguments[1]);
  wal::GetEnvironment environment = environment_of(context, cluster);
  if (const std::uint64_t segments = HAUL_TRY(segments_ahead(context)); segments > 0) {
    options.spool = spool_path(context, options.target);
    environment.boot_id = context.platform->boot_id();
    environment.prefetcher = prefetcher_words(context, cluster.name, options, segments);
  }
  const wal::Delivery delivery = HAUL_TRY(wal::get_wal(options, environment));
  if (delivery == wal::Delivery::delivered) return kDone;
  context.console->debug(format("{} is not in the archive", options.name));
  return kWalAbsent;
}

Result<int> run_wal_prefetch(Context& context) {
  const repository::Cluster cluster = HAUL_TRY(open_cluster(context));
  HAUL_TRY(check_repository_id(context));
  const std::string target =
      absolute_path(context.platform->working_directory(), context.settings->arguments().front());
  const std::string wal_directory = wal::split_path(target).directory;
  wal::PrefetchOptions options;
  options.segments = HAUL_TRY(segments_ahead(context));
  options.data_directory = wal::split_path(wal_directory).directory;
  options.system_identifier =
      HAUL_TRY(wal::system_wanted(environment_of(context, cluster), wal_directory));
  options.place = {
      spool_path(context, target),
      wal::Spool::name_for(cluster, options.system_identifier, context.platform->boot_id())};
  wal::PrefetchEnvironment environment;
  environment.cluster = &cluster;
  environment.open_directory = directory_opener(context);
  environment.host = &context.platform->host();
  environment.clock = &context.platform->clock();
  environment.stop = context.stop;
  HAUL_TRY(wal::run_prefetcher(options, environment));
  return kDone;
}

}  // namespace haul::cli
