#include "io/internal/fault_file.h"

#include <cerrno>

#include "io/aligned_buffer.h"

namespace haul::io::internal {

Result<std::size_t> FaultFile::read_at(std::uint64_t offset, MutableByteSpan into) {
  const Injection injection = plan_->begin(FaultOperation::read);
  if (injection.error_number) {
    return injected(*injection.error_number, FaultOperation::read, name_);
  }
  std::size_t count = HAUL_TRY(inner_->read_at(offset, into));
  count = spoiled_read(injection, into.first(count));
  RuleFaultPlan::end(injection);
  return count;
}

Status FaultFile::write_at(std::uint64_t offset, ByteSpan from) {
  const Injection injection = plan_->begin(FaultOperation::write);
  if (injection.error_number) {
    return injected(*injection.error_number, FaultOperation::write, name_);
  }
  if (injection.is_short) {
    HAUL_TRY(inner_->write_at(offset, from.first(half_of_write(from.size()))));
    return injected(EIO, FaultOperation::write, name_);
  }
  HAUL_TRY(inner_->write_at(offset, from));
  RuleFaultPlan::end(injection);
  return ok();
}

Status FaultFile::resize(std::uint64_t size_bytes) {
  return faulted(*plan_, FaultOperation::resize, name_, [&] { return inner_->resize(size_bytes); });
}

Status FaultFile::preallocate(std::uint64_t size_bytes) {
  return faulted(*plan_, FaultOperation::preallocate, name_,
                 [&] { return inner_->preallocate(size_bytes); });
}

Status FaultFile::set_mode(std::uint32_t mode) {
  return faulted(*plan_, FaultOperation::set_mode, name_, [&] { return inner_->set_mode(mode); });
}

Status FaultFile::set_owner(std::uint32_t user, std::uint32_t group) {
  return faulted(*plan_, FaultOperation::set_owner, name_,
                 [&] { return inner_->set_owner(user, group); });
}

Result<FileInfo> FaultFile::info() {
  return faulted(*plan_, FaultOperation::info, name_, [&] { return inner_->info(); });
}

Status FaultFile::sync() {
  return faulted(*plan_, FaultOperation::sync, name_, [&] { return inner_->sync(); });
}

Status FaultFile::finish() {
  return faulted(*plan_, FaultOperation::close, name_, [&] { return inner_->finish(); });
}

std::size_t half_of_write(std::size_t size_bytes) {
  const std::size_t half = size_bytes / 2;
  return size_bytes % kDirectAlignment == 0 ? half - half % kDirectAlignment : half;
}

}  // namespace haul::io::internal
