#include "io/fault_ring.h"

#include <cerrno>
#include <chrono>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "io/internal/fault_file.h"
#include "io/internal/fault_plan.h"
#include "io/internal/posix_file.h"

namespace haul::io {
namespace {

using internal::FaultFile;
using internal::FaultOperation;
using internal::Injection;
using internal::PosixFile;
using internal::RuleFaultPlan;

FaultOperation fault_operation(RingOperation::Kind kind) {
  switch (kind) {
    case RingOperation::Kind::read: return FaultOperation::read;
    case RingOperation::Kind::write: return FaultOperation::write;
    case RingOperation::Kind::sync: return FaultOperation::sync;
  }
  HAUL_ASSERT(false);
}

// For messages.
std::string name_of(File* file) {
  if (const auto* faulty = dynamic_cast<FaultFile*>(file)) return faulty->name();
  if (const auto* posix = dynamic_cast<PosixFile*>(file)) return posix->name();
  return "a file";
}

class FaultRing final : public Ring {
 public:
  FaultRing(std::unique_ptr<Ring> inner, std::shared_ptr<RuleFaultPlan> plan)
      : inner_(std::move(inner)), plan_(std::move(plan)), slots_(inner_->capacity()) {
    for (std::size_t index = 0; index < slots_.size(); ++index) free_slots_.push_back(index);
  }

  std::size_t capacity() const override { return slots_.size(); }
  std::size_t in_flight() const override { return in_flight_; }
  std::string backend() const override { return inner_->backend(); }
  void wake() override { inner_->wake(); }

  void submit(const RingOperation& operation) override;
  std::span<RingCompletion> wait(std::optional<std::chrono::nanoseconds> timeout,
                                 Idle idle) override;

 private:
  struct Slot {
    RingOperation operation;
    Injection injection;
  };

  // What the inner ring is given: its file is the one behind the faults of this plan.
  RingOperation passed_on(const RingOperation& operation, std::size_t index) const;
  Result<std::size_t> outcome_of(const Slot& slot, Result<std::size_t> outcome) const;

  const std::unique_ptr<Ring> inner_;
  const std::shared_ptr<RuleFaultPlan> plan_;
  std::vector<Slot> slots_;
  std::vector<std::size_t> free_slots_;
  std::size_t in_flight_ = 0;              // completions that wait() has not returned
  std::vector<RingCompletion> ready_;      // for the next return of wait()
  std::vector<RingCompletion> collected_;  // what the last one returned
};

RingOperation FaultRing::passed_on(const RingOperation& operation, std::size_t index) const {
  RingOperation inner = operation;
  inner.tag = index;
  auto* faulty = dynamic_cast<FaultFile*>(operation.file);
  if (faulty != nullptr && &faulty->plan() == plan_.get()) inner.file = &faulty->inner();
  if (operation.kind == RingOperation::Kind::write && slots_[index].injection.is_short) {
    inner.bytes = operation.bytes.first(internal::half_of_write(operation.bytes.size()));
  }
  return inner;
}

void FaultRing::submit(const RingOperation& operation) {
  HAUL_ASSERT(in_flight_ < capacity());
  ++in_flight_;
  const FaultOperation counted = fault_operation(operation.kind);
  const Injection injection = plan_->begin(counted);
  if (injection.error_number) {
    ready_.push_back({operation.tag, internal::injected(*injection.error_number, counted,
                                                        name_of(operation.file))});
    return;
  }
  const std::size_t index = free_slots_.back();
  free_slots_.pop_back();
  slots_[index] = {operation, injection};
  inner_->submit(passed_on(operation, index));
}

Result<std::size_t> FaultRing::outcome_of(const Slot& slot, Result<std::size_t> outcome) const {
  if (!outcome) return outcome;
  const RingOperation& operation = slot.operation;
  if (operation.kind == RingOperation::Kind::read) {
    outcome = internal::spoiled_read(slot.injection, operation.bytes.first(*outcome));
  }
  if (operation.kind == RingOperation::Kind::write && slot.injection.is_short) {
    return internal::injected(EIO, FaultOperation::write, name_of(operation.file));
  }
  RuleFaultPlan::end(slot.injection);
  return outcome;
}

std::span<RingCompletion> FaultRing::wait(std::optional<std::chrono::nanoseconds> timeout,
                                          Idle idle) {
  HAUL_ASSERT(in_flight_ > 0 || timeout.has_value() || idle == Idle::allowed);
  // What the plan failed is there already; the device has to see the rest all the same.
  if (!ready_.empty()) timeout = std::chrono::nanoseconds::zero();
  for (RingCompletion& completion : inner_->wait(timeout, idle)) {
    const Slot& slot = slots_[completion.tag];
    ready_.push_back({slot.operation.tag, outcome_of(slot, std::move(completion.outcome))});
    free_slots_.push_back(completion.tag);
  }
  collected_.clear();
  collected_.swap(ready_);
  in_flight_ -= collected_.size();
  return collected_;
}

}  // namespace

std::unique_ptr<Ring> make_fault_ring(std::unique_ptr<Ring> inner,
                                      std::shared_ptr<FaultPlan> plan) {
  return std::make_unique<FaultRing>(std::move(inner), internal::rules_of(std::move(plan)));
}

RingFactory make_fault_rings(RingFactory inner, std::shared_ptr<FaultPlan> plan) {
  return [inner = std::move(inner),
          plan = std::move(plan)](const RingOptions& options) -> Result<std::unique_ptr<Ring>> {
    return make_fault_ring(HAUL_TRY(inner(options)), plan);
  };
}

}  // namespace haul::io
