#include "engine/postgres/internal/libpq.h"

#include "base/dynamic_library.h"

namespace haul::postgres {
Result<LibPq> load_libpq(const char* name) {
  const DynamicLibrary library = HAUL_TRY(DynamicLibrary::load(
      name, ErrorCode::server_state, "install libpq5, PostgreSQL's client library"));
  LibPq pq;
#define HAUL_LIBPQ_FIND(function) HAUL_TRY(library.find(#function, pq.function));
  HAUL_LIBPQ_FUNCTIONS(HAUL_LIBPQ_FIND)
#undef HAUL_LIBPQ_FIND
  return pq;
}

}  // namespace haul::postgres
