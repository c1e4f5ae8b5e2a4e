#include "io/internal/carry_out.h"

#include "base/assert.h"

namespace haul::io::internal {

Result<std::size_t> carry_out(const RingOperation& operation) {
  switch (operation.kind) {
    case RingOperation::Kind::read:
      return operation.file->read_at(operation.offset, operation.bytes);
    case RingOperation::Kind::write:
      HAUL_TRY(operation.file->write_at(operation.offset, operation.bytes));
      return operation.bytes.size();
    case RingOperation::Kind::sync: HAUL_TRY(operation.file->sync()); return std::size_t{0};
  }
  HAUL_ASSERT(false);
}

}  // namespace haul::io::internal
