// oneTBB, loaded by the first arena that is made: a program that computes nothing in parallel
// starts without it and without the C++ library that it brings along.
//
// What oneTBB's headers leave to its library, functions of the namespace tbb::detail::r1, is
// defined here and calls on to the library. One that is missing here does not link.
//
// Memory:   once loaded it stays, as its threads want it.
// Threads:  a table of constants.
// Errors:   io (there is no oneTBB, or one without a function that is needed).
#pragma once

#include <cstddef>
#include <type_traits>

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include "base/result.h"

namespace haul::flow {

namespace d1 = tbb::detail::d1;

// X(member, its type, the library's name for it); names are those of the Itanium C++ ABI.
// clang-format off
#define HAUL_TBB_FUNCTIONS(X)                                                                      \
  X(initialize, void(d1::task_arena_base&),                                                        \
    "_ZN3tbb6detail2r110initializeERNS0_2d115task_arena_baseE")                                    \
  X(terminate, void(d1::task_arena_base&),                                                         \
    "_ZN3tbb6detail2r19terminateERNS0_2d115task_arena_baseE")                                      \
  X(enqueue, void(d1::task&, d1::task_arena_base*),                                                \
    "_ZN3tbb6detail2r17enqueueERNS0_2d14taskEPNS2_15task_arena_baseE")                             \
  X(create, void(d1::global_control&),                                                             \
    "_ZN3tbb6detail2r16createERNS0_2d114global_controlE")                                          \
  X(destroy, void(d1::global_control&),                                                            \
    "_ZN3tbb6detail2r17destroyERNS0_2d114global_controlE")                                         \
  X(allocate, void*(d1::small_object_pool*&, std::size_t),                                         \
    "_ZN3tbb6detail2r18allocateERPNS0_2d117small_object_poolEm")                                   \
  X(deallocate,                                                                                    \
    void(d1::small_object_pool&, void*, std::size_t, const d1::execution_data&),                   \
    "_ZN3tbb6detail2r110deallocateERNS0_2d117small_object_poolEPvmRKNS2_14execution_dataE")        \
  X(assertion_failure, void(const char*, int, const char*, const char*),                           \
    "_ZN3tbb6detail2r117assertion_failureEPKciS3_S3_")
// clang-format on

struct TbbLibrary {
#define HAUL_TBB_MEMBER(member, type, name) std::add_pointer_t<type> member = nullptr;
  HAUL_TBB_FUNCTIONS(HAUL_TBB_MEMBER)
#undef HAUL_TBB_MEMBER
};

Result<TbbLibrary> find_tbb(const char* name);

}  // namespace haul::flow
