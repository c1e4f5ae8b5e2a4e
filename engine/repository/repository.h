// A repository: its config, its clusters.
//
// Memory:   owns the store and the identity keys; clusters handed out borrow both.
// Threads:  immutable once opened, shared by all.
// Errors:   no_repository (nothing there), corrupt, unsupported, already_exists and usage (init).
// Format:   docs/format.md, "Config".
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "engine/repository/cluster.h"

namespace haul::repository {

class Repository {
 public:
  // Makes an empty store a repository. Checks first that the store keeps its promises (a second put
  // of the same name is refused). Durable when it returns. A failure leaves nothing of this init
  // and does nothing to another one that runs at the same time.
  static Status init(io::ObjectStore& store, const RepositoryParameters& parameters, Random& random,
                     Clock& clock);
  // `reopen` reaches the store anew by the name the user gave: an open one keeps working on what
  // was moved away or unmounted. Without it the open store answers for itself.
  using Reopen = std::function<Result<std::unique_ptr<io::ObjectStore>>()>;
  static Result<Repository> open(std::unique_ptr<io::ObjectStore> store, Reopen reopen = {});

  const RepositoryId& id() const { return id_; }
  const RepositoryParameters& parameters() const { return parameters_; }
  const std::string& name() const { return store_->name(); }
  io::ObjectStore& store() const { return *store_; }

  // A cluster by name; it need not exist yet. `usage` for a name that breaks the grammar.
  Result<Cluster> cluster(const std::string& name) const;
  // Names of all clusters that have any object.
  Result<std::vector<std::string>> clusters() const;
  // Still there under its name, and still this repository? A store may be moved or unmounted while
  // work goes on.
  Status check_still_there() const;

 private:
  Repository() = default;

  std::unique_ptr<io::ObjectStore> store_;
  Reopen reopen_;
  std::unique_ptr<const Identity> identity_;
  RepositoryId id_;
  RepositoryParameters parameters_;
};

}  // namespace haul::repository
