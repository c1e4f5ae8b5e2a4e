#include "engine/postgres/internal/libpq.h"

#include <dlfcn.h>

#include "base/format.h"

namespace haul::postgres {
namespace {

Error cannot_load(const char* name) {
  const char* why = ::dlerror();
  return {ErrorCode::server_state,
          format("cannot load {}: {}", name, why == nullptr ? "unknown reason" : why),
          "install libpq5, PostgreSQL's client library"};
}

template <typename Function>
Status find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr ? ok() : Status(cannot_load(name));
}

}  // namespace

Result<LibPq> load_libpq(const char* name) {
  void* library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return cannot_load(name);
  LibPq pq;
#define HAUL_LIBPQ_FIND(function) HAUL_TRY(find(library, #function, pq.function));
  HAUL_LIBPQ_FUNCTIONS(HAUL_LIBPQ_FIND)
#undef HAUL_LIBPQ_FIND
  return pq;
}

}  // namespace haul::postgres
