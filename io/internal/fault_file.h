// A File that injects what a fault plan has for its calls.
//
// Threads:  see io/file.h.
// Errors:   those of the inner file, and what the plan injects.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "io/file.h"
#include "io/internal/fault_plan.h"

namespace haul::io::internal {

class FaultFile final : public File {
 public:
  FaultFile(std::unique_ptr<File> inner, std::shared_ptr<RuleFaultPlan> plan, std::string name)
      : inner_(std::move(inner)), plan_(std::move(plan)), name_(std::move(name)) {}

  Result<std::size_t> read_at(std::uint64_t offset, MutableByteSpan into) override;
  Status write_at(std::uint64_t offset, ByteSpan from) override;
  Status resize(std::uint64_t size_bytes) override;
  Status preallocate(std::uint64_t size_bytes) override;
  Status end_direct() override { return inner_->end_direct(); }
  Status set_mode(std::uint32_t mode) override;
  Status set_owner(std::uint32_t user, std::uint32_t group) override;
  Result<FileInfo> info() override;
  Status sync() override;
  Status finish() override;
  // A ring that used the descriptor would pass the plan by.
  std::optional<int> descriptor() const override { return std::nullopt; }

  const std::string& name() const { return name_; }
  // For callers that go by the plan themselves.
  File& inner() { return *inner_; }
  const RuleFaultPlan& plan() const { return *plan_; }

 private:
  const std::unique_ptr<File> inner_;
  const std::shared_ptr<RuleFaultPlan> plan_;
  const std::string name_;
};

// How many bytes of a write of `size_bytes` are written before it fails half way: direct mode takes
// nothing but whole blocks.
std::size_t half_of_write(std::size_t size_bytes);

}  // namespace haul::io::internal
