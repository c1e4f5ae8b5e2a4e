#include "engine/repository/repository.h"

#include <algorithm>

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

Error already_a_repository(const io::ObjectStore& store) {
  return {ErrorCode::already_exists, format("{} is a repository already", store.name())};
}

// A probe alone is what an init that was killed left, or what another one is at.
Status check_empty(io::ObjectStore& store) {
  const std::vector<io::ObjectInfo> present = HAUL_TRY(store.list(""));
  if (std::ranges::any_of(present, [](const auto& o) { return o.key == kConfigKey; }))
    return already_a_repository(store);
  if (std::ranges::all_of(present, [](const auto& o) { return o.key == kProbeKey; })) return ok();
  return Error(ErrorCode::usage, format("{} is not empty", store.name()),
               "name a new or empty directory");
}

bool is_taken(const Status& put) { return !put && put.error().code() == ErrorCode::already_exists; }

// A store that overwrites would break every promise; better found at the start than at the first
// lost backup. A probe that another init put proves as much as our own, which bears our id.
Status probe_put_if_absent(io::ObjectStore& store, const RepositoryId& id) {
  const std::string key(kProbeKey);
  const Status first = store.put_if_absent(key, id.bytes);
  if (is_taken(first)) return ok();
  if (!first) return first;
  const Status second = store.put_if_absent(key, id.bytes);
  if (is_taken(second)) return ok();
  // A full disk says nothing about the store's promises.
  if (!second) return second;
  // Whoever takes away another's probe has put the config before.
  if (store.head(std::string(kConfigKey))) return already_a_repository(store);
  return Error(ErrorCode::unsupported, format("{}: cannot create files exclusively", store.name()),
               "use a file system with atomic rename or hard links");
}

Status make_repository(io::ObjectStore& store, const RepositoryId& id, ByteSpan config) {
  HAUL_TRY(probe_put_if_absent(store, id));
  HAUL_TRY(store.put_if_absent(std::string(kConfigKey), config));
  Status removed = store.remove(std::string(kProbeKey));
  if (!removed && removed.error().code() != ErrorCode::not_found) return removed;
  return store.make_durable("");
}

// A put that failed may have been done, and what is there may be another init's: the id tells.
void remove_traces(io::ObjectStore& store, const RepositoryId& id) {
  const auto probe = store.get(std::string(kProbeKey), kConfigBytesMax);
  if (probe && std::ranges::equal(*probe, id.bytes)) {
    static_cast<void>(store.remove(std::string(kProbeKey)));
  }
  const auto config = store.get(std::string(kConfigKey), kConfigBytesMax);
  if (!config) return;
  const auto frame = unframe_object(ObjectKind::config, std::string(kConfigKey), *config);
  if (frame && frame->repository == id) static_cast<void>(store.remove(std::string(kConfigKey)));
}

}  // namespace

Status Repository::init(io::ObjectStore& store, const RepositoryParameters& parameters,
                        Random& random, Clock& clock) {
  HAUL_TRY(check_parameters(parameters));
  HAUL_TRY(check_empty(store));
  RepositoryId id;
  Config config{parameters, {}};
  HAUL_TRY(random.fill(id.bytes));
  HAUL_TRY(random.fill(config.id_key));
  Status made = make_repository(store, id, encode_config(id, config, clock.now_utc()));
  if (made) return made;
  remove_traces(store, id);
  return is_taken(made) ? already_a_repository(store) : made;
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

namespace {

// Looks no further than the first one. A store may keep prefixes that nothing is left of.
Result<bool> has_object(io::ObjectStore& store, const std::string& prefix) {
  const io::ObjectNames names = HAUL_TRY(store.list_names(prefix));
  if (!names.objects.empty()) return true;
  for (const std::string& name : names.prefixes) {
    if (HAUL_TRY(has_object(store, prefix + "/" + name))) return true;
  }
  return false;
}

}  // namespace

Result<std::vector<std::string>> Repository::clusters() const {
  std::vector<std::string> clusters;
  // An object right beneath clusters/ belongs to none, and a foreign name can be opened by none.
  for (std::string& name : HAUL_TRY(store_->list_names("clusters")).prefixes) {
    if (!check_cluster_name(name)) continue;
    if (HAUL_TRY(has_object(*store_, ClusterLayout(name).root()))) {
      clusters.push_back(std::move(name));
    }
  }
  return clusters;
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
