#include "engine/repository/repository.h"

#include <algorithm>
#include <set>

#include "base/format.h"
#include "base/json.h"
#include "engine/repository/framed_object.h"

namespace haul::repository {

namespace {

constexpr std::uint64_t kConfigBytesMax = 64 * 1024;
// Exists for a moment while init looks at what the store can do.
constexpr std::string_view kProbeKey = "probe";

struct Config {
  RepositoryParameters parameters;
  std::array<std::byte, 32> id_key{};
};

Status check_parameters(const RepositoryParameters& parameters) {
  const std::uint32_t pages = parameters.chunk_pages;
  if (pages < kChunkPagesMin || pages > kChunkPagesMax || (pages & (pages - 1)) != 0) {
    return Error(ErrorCode::usage, format("chunks of {} pages are not possible", pages),
                 format("choose a power of two from {} to {}", kChunkPagesMin, kChunkPagesMax));
  }
  if (parameters.pack_size_bytes < kPackSizeMin || parameters.pack_size_bytes > kPackSizeMax) {
    return Error(ErrorCode::usage,
                 format("packs of {} bytes are not possible", parameters.pack_size_bytes),
                 "choose a size from 1 MiB to 256 MiB");
  }
  return ok();
}

std::vector<std::byte> encode_config(const RepositoryId& id, const Config& config,
                                     UtcTime created) {
  Json json = Json::object();
  json.set("repository", to_string(id));
  json.set("format", std::uint64_t{kFormatVersion});
  json.set("digest", compress::digest_algorithm());
  json.set("id_key", to_hex(config.id_key));
  json.set("chunk_pages", config.parameters.chunk_pages);
  json.set("pack_size_bytes", config.parameters.pack_size_bytes);
  json.set("created_us", created.microseconds);
  const std::string text = json.dump(Json::Layout::indented) + "\n";
  return frame_object(ObjectKind::config, id, std::string(kConfigKey), bytes_of(text));
}

Result<Config> decode_config(const Json& json, const RepositoryId& id) {
  Config config;
  if (HAUL_TRY(json.string_at("repository")) != to_string(id)) {
    return Error(ErrorCode::corrupt, "config and its header disagree on the repository");
  }
  if (HAUL_TRY(json.uint_at("format")) != kFormatVersion) {
    return Error(ErrorCode::unsupported, "the repository has another format version");
  }
  const std::string digest = HAUL_TRY(json.string_at("digest"));
  if (digest != compress::digest_algorithm()) {
    return Error(ErrorCode::unsupported,
                 format("the repository uses {}, this program was built with {}", digest,
                        compress::digest_algorithm()));
  }
  if (!from_hex(HAUL_TRY(json.string_at("id_key")), config.id_key)) {
    return Error(ErrorCode::corrupt, "the id key is not valid");
  }
  const std::uint64_t chunk_pages = HAUL_TRY(json.uint_at("chunk_pages"));
  config.parameters.chunk_pages =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(chunk_pages, UINT32_MAX));
  config.parameters.pack_size_bytes = HAUL_TRY(json.uint_at("pack_size_bytes"));
  if (!check_parameters(config.parameters))
    return Error(ErrorCode::corrupt, "a parameter is out of range");
  return config;
}

Result<Config> parse_config(const FramedObject& frame) {
  return decode_config(HAUL_TRY(Json::parse(text_of(frame.body))), frame.repository);
}

// A store that overwrites would break every promise; better found at the start than at the first
// lost backup.
Status probe_put_if_absent(io::ObjectStore& store) {
  const std::string key(kProbeKey);
  HAUL_TRY(store.put_if_absent(key, bytes_of("first")));
  const Status second = store.put_if_absent(key, bytes_of("second"));
  HAUL_TRY(store.remove(key));
  if (second) {
    return Error(ErrorCode::unsupported,
                 format("{}: cannot create files exclusively", store.name()),
                 "use a file system with atomic rename or hard links");
  }
  // A full disk says nothing about the store's promises.
  return second.error().code() == ErrorCode::already_exists ? ok() : second;
}

}  // namespace

Status Repository::init(io::ObjectStore& store, const RepositoryParameters& parameters,
                        Random& random, Clock& clock) {
  HAUL_TRY(check_parameters(parameters));
  std::vector<io::ObjectInfo> present = HAUL_TRY(store.list(""));
  // An init that was killed left no more than this, and needs no hand to clean up after it.
  if (present.size() == 1 && present[0].key == kProbeKey) {
    HAUL_TRY(store.remove(present[0].key));
    present.clear();
  }
  if (!present.empty()) {
    const bool repository =
        std::ranges::any_of(present, [](const auto& o) { return o.key == kConfigKey; });
    if (repository) {
      return Error(ErrorCode::already_exists, format("{} is a repository already", store.name()));
    }
    return Error(ErrorCode::usage, format("{} is not empty", store.name()),
                 "name a new or empty directory");
  }
  HAUL_TRY(probe_put_if_absent(store));
  RepositoryId id;
  Config config{parameters, {}};
  HAUL_TRY(random.fill(id.bytes));
  HAUL_TRY(random.fill(config.id_key));
  HAUL_TRY(
      store.put_if_absent(std::string(kConfigKey), encode_config(id, config, clock.now_utc())));
  return store.make_durable("");
}

Result<Repository> Repository::open(std::unique_ptr<io::ObjectStore> store, Reopen reopen) {
  auto object = store->get(std::string(kConfigKey), kConfigBytesMax);
  if (!object && object.error().code() == ErrorCode::not_found) {
    return Error(ErrorCode::no_repository,
                 format("{} is not a repository: it has no config", store->name()),
                 "create one with pghaul init, or check that its file system is mounted");
  }
  if (!object) return std::move(object).take_error();
  auto frame = unframe_object(ObjectKind::config, std::string(kConfigKey), *object);
  if (!frame) return std::move(frame).take_error().with_context(store->name());
  auto config = parse_config(*frame);
  if (!config)
    return std::move(config).take_error().with_context(format("{}/config", store->name()));

  Repository repository;
  repository.store_ = std::move(store);
  repository.reopen_ = std::move(reopen);
  repository.identity_ = std::make_unique<const Identity>(compress::DigestKey(config->id_key));
  repository.id_ = frame->repository;
  repository.parameters_ = config->parameters;
  return repository;
}

Result<Cluster> Repository::cluster(const std::string& name) const {
  HAUL_TRY(check_cluster_name(name));
  Cluster cluster;
  cluster.store = store_.get();
  cluster.identity = identity_.get();
  cluster.repository = id_;
  cluster.parameters = parameters_;
  cluster.name = name;
  cluster.layout = ClusterLayout(name);
  return cluster;
}

Result<std::vector<std::string>> Repository::clusters() const {
  static constexpr std::string_view kPrefix = "clusters";
  std::set<std::string> names;
  for (const io::ObjectInfo& object : HAUL_TRY(store_->list(std::string(kPrefix)))) {
    const std::string_view rest = std::string_view(object.key).substr(kPrefix.size() + 1);
    const std::string_view name = rest.substr(0, rest.find('/'));
    // An object right beneath clusters/ belongs to none, and a foreign name can be opened by none.
    if (name.size() < rest.size() && check_cluster_name(name)) names.emplace(name);
  }
  return std::vector<std::string>(names.begin(), names.end());
}

Status Repository::check_still_there() const {
  std::unique_ptr<io::ObjectStore> reopened;
  if (reopen_) {
    auto store = reopen_();
    if (store) reopened = std::move(store).take();
  }
  io::ObjectStore* const store = reopen_ ? reopened.get() : store_.get();
  if (store != nullptr) {
    const auto object = store->get(std::string(kConfigKey), kConfigBytesMax);
    const auto frame = object ? unframe_object(ObjectKind::config, std::string(kConfigKey), *object)
                              : Result<FramedObject>(object.error());
    if (frame && frame->repository == id_) return ok();
  }
  return Error(ErrorCode::io, format("the repository at {} is gone", store_->name()),
               "check that its file system is mounted");
}

}  // namespace haul::repository
