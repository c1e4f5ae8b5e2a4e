#include "engine/flow/internal/tbb_library.h"

#include "base/assert.h"
#include "base/dynamic_library.h"
#include "engine/flow/arena.h"

// Where it is not the system's, the build says which.
#ifndef HAUL_TBB_LIBRARY
#define HAUL_TBB_LIBRARY "libtbb.so.12"
#endif

namespace haul::flow {
namespace {

// Its headers call functions, which have no other place to find it in.
const Result<TbbLibrary>& the_library() {
  static const Result<TbbLibrary> library = find_tbb(HAUL_TBB_LIBRARY);
  return library;
}

const TbbLibrary& loaded() {
  const Result<TbbLibrary>& library = the_library();
  HAUL_ASSERT(library);
  return *library;
}

}  // namespace

Result<TbbLibrary> find_tbb(const char* name) {
  const DynamicLibrary library =
      HAUL_TRY(DynamicLibrary::load(name, ErrorCode::io, "install libtbb12, the library oneTBB"));
  TbbLibrary functions;
#define HAUL_TBB_FIND(member, type, symbol) HAUL_TRY(library.find(symbol, functions.member));
  HAUL_TBB_FUNCTIONS(HAUL_TBB_FIND)
#undef HAUL_TBB_FIND
  return functions;
}

Status load_tbb() {
  const Result<TbbLibrary>& library = the_library();
  return library ? ok() : Status(library.error());
}

}  // namespace haul::flow

namespace tbb::detail::r1 {

using haul::flow::loaded;

void initialize(d1::task_arena_base& arena) { loaded().initialize(arena); }

void terminate(d1::task_arena_base& arena) { loaded().terminate(arena); }

void enqueue(d1::task& task, d1::task_arena_base* arena) { loaded().enqueue(task, arena); }

void create(d1::global_control& control) { loaded().create(control); }

void destroy(d1::global_control& control) { loaded().destroy(control); }

void* allocate(d1::small_object_pool*& pool, std::size_t size_bytes) {
  return loaded().allocate(pool, size_bytes);
}

void deallocate(d1::small_object_pool& pool, void* object, std::size_t size_bytes,
                const d1::execution_data& execution) {
  loaded().deallocate(pool, object, size_bytes, execution);
}

void assertion_failure(const char* location, int line, const char* expression,
                       const char* comment) {
  loaded().assertion_failure(location, line, expression, comment);
}

}  // namespace tbb::detail::r1
