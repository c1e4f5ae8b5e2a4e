#include "io/fault_directory.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "io/aligned_buffer.h"
#include "io/internal/fault_plan.h"
#include "io/internal/posix_calls.h"

namespace haul::io {
namespace {

using internal::FaultOperation;
using internal::Injection;
using internal::path_error;
using internal::RuleFaultPlan;

using PlanPointer = std::shared_ptr<RuleFaultPlan>;

Error injected(int error_number, FaultOperation operation, const std::string& name) {
  return path_error(error_number, to_string(operation), name);
}

// Carries out one call of the inner object, or what the plan has instead.
template <typename Call>
auto faulted(RuleFaultPlan& plan, FaultOperation operation, const std::string& name, Call call)
    -> decltype(call()) {
  const Injection injection = plan.begin(operation);
  if (injection.error_number) return injected(*injection.error_number, operation, name);
  auto answer = call();
  RuleFaultPlan::end(injection);
  return answer;
}

class FaultFile final : public File {
 public:
  FaultFile(std::unique_ptr<File> inner, PlanPointer plan, std::string name)
      : inner_(std::move(inner)), plan_(std::move(plan)), name_(std::move(name)) {}

  Result<std::size_t> read_at(std::uint64_t offset, MutableByteSpan into) override {
    Injection injection = plan_->begin(FaultOperation::read);
    if (injection.error_number) {
      return injected(*injection.error_number, FaultOperation::read, name_);
    }
    std::size_t count = HAUL_TRY(inner_->read_at(offset, into));
    if (injection.is_short) count /= 2;
    if (injection.flips && count > 0) into[injection.call % count] ^= std::byte{1};
    RuleFaultPlan::end(injection);
    return count;
  }

  Status write_at(std::uint64_t offset, ByteSpan from) override {
    const Injection injection = plan_->begin(FaultOperation::write);
    if (injection.error_number) {
      return injected(*injection.error_number, FaultOperation::write, name_);
    }
    if (injection.is_short) {
      std::size_t half = from.size() / 2;
      // Half of an aligned write is aligned as well: direct mode takes nothing else.
      if (from.size() % kDirectAlignment == 0) half -= half % kDirectAlignment;
      HAUL_TRY(inner_->write_at(offset, from.first(half)));
      return injected(EIO, FaultOperation::write, name_);
    }
    HAUL_TRY(inner_->write_at(offset, from));
    RuleFaultPlan::end(injection);
    return ok();
  }

  Status resize(std::uint64_t size_bytes) override {
    return run(FaultOperation::resize, [&] { return inner_->resize(size_bytes); });
  }
  Status preallocate(std::uint64_t size_bytes) override {
    return run(FaultOperation::preallocate, [&] { return inner_->preallocate(size_bytes); });
  }
  Status end_direct() override { return inner_->end_direct(); }
  Status set_mode(std::uint32_t mode) override {
    return run(FaultOperation::set_mode, [&] { return inner_->set_mode(mode); });
  }
  Status set_owner(std::uint32_t user, std::uint32_t group) override {
    return run(FaultOperation::set_owner, [&] { return inner_->set_owner(user, group); });
  }
  Result<FileInfo> info() override {
    return run(FaultOperation::info, [&] { return inner_->info(); });
  }
  Status sync() override {
    return run(FaultOperation::sync, [&] { return inner_->sync(); });
  }
  Status finish() override {
    return run(FaultOperation::close, [&] { return inner_->finish(); });
  }
  // A ring that used the descriptor would pass the plan by.
  std::optional<int> descriptor() const override { return std::nullopt; }

  File& inner() { return *inner_; }

 private:
  template <typename Call>
  auto run(FaultOperation operation, Call call) -> decltype(call()) {
    return faulted(*plan_, operation, name_, call);
  }

  const std::unique_ptr<File> inner_;
  const PlanPointer plan_;
  const std::string name_;
};

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
  Result<std::vector<DirectoryEntry>> list(std::string_view path) override {
    return run(FaultOperation::list, path, [&] { return inner_->list(path); });
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
  auto rules = std::dynamic_pointer_cast<RuleFaultPlan>(std::move(plan));
  HAUL_ASSERT(rules != nullptr);
  return std::make_unique<FaultDirectory>(std::move(inner), std::move(rules));
}

}  // namespace haul::io
