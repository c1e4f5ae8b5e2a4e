#include "io/fault_directory.h"

#include <utility>

#include "base/assert.h"
#include "io/internal/fault_file.h"
#include "io/internal/fault_plan.h"

namespace haul::io {
namespace {

using internal::faulted;
using internal::FaultFile;
using internal::FaultOperation;
using internal::RuleFaultPlan;

using PlanPointer = std::shared_ptr<RuleFaultPlan>;

class FaultDirectory final : public Directory {
 public:
  FaultDirectory(std::unique_ptr<Directory> inner, PlanPointer plan)
      : inner_(std::move(inner)), plan_(std::move(plan)) {}

  Result<std::unique_ptr<File>> open_file(std::string_view path, Caching caching) override {
    return wrap(path,
                run(FaultOperation::open, path, [&] { return inner_->open_file(path, caching); }));
  }
  Result<std::unique_ptr<File>> open_for_update(std::string_view path, Caching caching) override {
    return wrap(path, run(FaultOperation::open, path,
                          [&] { return inner_->open_for_update(path, caching); }));
  }
  Result<std::unique_ptr<File>> create_file(std::string_view path, std::uint32_t mode,
                                            Caching caching) override {
    return wrap(path, run(FaultOperation::create, path,
                          [&] { return inner_->create_file(path, mode, caching); }));
  }
  Result<std::unique_ptr<File>> create_temporary(std::string_view directory,
                                                 Caching caching) override {
    return wrap(directory, run(FaultOperation::create, directory,
                               [&] { return inner_->create_temporary(directory, caching); }));
  }
  Status publish(File& temporary, std::string_view path) override {
    return run(FaultOperation::publish, path,
               [&] { return inner_->publish(unwrap(temporary), path); });
  }
  Status publish_over(File& temporary, std::string_view path) override {
    return run(FaultOperation::publish_over, path,
               [&] { return inner_->publish_over(unwrap(temporary), path); });
  }

  Result<FileInfo> info(std::string_view path) override {
    return run(FaultOperation::info, path, [&] { return inner_->info(path); });
  }
  Status for_each_entry(std::string_view path, const DirectoryEntryVisitor& visit) override {
    return run(FaultOperation::list, path, [&] { return inner_->for_each_entry(path, visit); });
  }
  Result<std::string> read_link(std::string_view path) override {
    return run(FaultOperation::read_link, path, [&] { return inner_->read_link(path); });
  }

  Status make_directory(std::string_view path, std::uint32_t mode) override {
    return run(FaultOperation::make_directory, path,
               [&] { return inner_->make_directory(path, mode); });
  }
  Status make_link(const std::string& target, std::string_view path) override {
    return run(FaultOperation::make_link, path, [&] { return inner_->make_link(target, path); });
  }
  Status set_owner(std::string_view path, std::uint32_t user, std::uint32_t group) override {
    return run(FaultOperation::set_owner, path,
               [&] { return inner_->set_owner(path, user, group); });
  }
  Status set_mode(std::string_view path, std::uint32_t mode) override {
    return run(FaultOperation::set_mode, path, [&] { return inner_->set_mode(path, mode); });
  }
  Status remove_file(std::string_view path) override {
    return run(FaultOperation::remove_file, path, [&] { return inner_->remove_file(path); });
  }
  Status remove_directory(std::string_view path) override {
    return run(FaultOperation::remove_directory, path,
               [&] { return inner_->remove_directory(path); });
  }
  Status sync_directory(std::string_view path) override {
    return run(FaultOperation::sync_directory, path, [&] { return inner_->sync_directory(path); });
  }
  Status sync_file_system() override {
    return run(FaultOperation::sync_file_system, "", [&] { return inner_->sync_file_system(); });
  }
  bool can_sync_file_system() override { return inner_->can_sync_file_system(); }

  Result<std::unique_ptr<Directory>> open_directory(std::string_view path) override {
    std::unique_ptr<Directory> opened = HAUL_TRY(
        run(FaultOperation::open_directory, path, [&] { return inner_->open_directory(path); }));
    return std::make_unique<FaultDirectory>(std::move(opened), plan_);
  }
  const std::string& name() const override { return inner_->name(); }

 private:
  template <typename Call>
  auto run(FaultOperation operation, std::string_view path, Call call) -> decltype(call()) {
    return faulted(*plan_, operation, full_name(*inner_, path), call);
  }

  Result<std::unique_ptr<File>> wrap(std::string_view path, Result<std::unique_ptr<File>> opened) {
    if (!opened) return opened;
    return std::make_unique<FaultFile>(std::move(opened).take(), plan_, full_name(*inner_, path));
  }

  static File& unwrap(File& file) {
    auto* fault_file = dynamic_cast<FaultFile*>(&file);
    HAUL_ASSERT(fault_file != nullptr);
    return fault_file->inner();
  }

  const std::unique_ptr<Directory> inner_;
  const PlanPointer plan_;
};

}  // namespace

Result<std::shared_ptr<FaultPlan>> parse_fault_plan(std::string_view text) {
  return std::make_shared<RuleFaultPlan>(HAUL_TRY(internal::parse_fault_rules(text)));
}

std::unique_ptr<Directory> make_fault_directory(std::unique_ptr<Directory> inner,
                                                std::shared_ptr<FaultPlan> plan) {
  return std::make_unique<FaultDirectory>(std::move(inner), internal::rules_of(std::move(plan)));
}

}  // namespace haul::io
