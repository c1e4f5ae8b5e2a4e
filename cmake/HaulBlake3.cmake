# BLAKE3 as the target haul_blake3: Debian's libblake3-dev where the suite has it, else the upstream C and assembly that
# librust-blake3-dev installs, compiled here and linked statically.

find_package(BLAKE3 CONFIG QUIET)
if(TARGET BLAKE3::blake3)
  add_library(haul_blake3 INTERFACE)
  target_link_libraries(haul_blake3 INTERFACE BLAKE3::blake3)
  return()
endif()

file(GLOB HAUL_BLAKE3_CANDIDATES "/usr/share/cargo/registry/blake3-*/c")
find_path(HAUL_BLAKE3_SOURCE blake3.c PATHS ${HAUL_BLAKE3_CANDIDATES} NO_DEFAULT_PATH)
if(NOT HAUL_BLAKE3_SOURCE)
  message(FATAL_ERROR "BLAKE3 not found: install libblake3-dev or librust-blake3-dev (tools/setup does)")
endif()

set(haul_blake3_sources blake3.c blake3_dispatch.c blake3_portable.c)
set(haul_blake3_definitions)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND haul_blake3_sources blake3_sse2_x86-64_unix.S blake3_sse41_x86-64_unix.S
       blake3_avx2_x86-64_unix.S blake3_avx512_x86-64_unix.S)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  list(APPEND haul_blake3_sources blake3_neon.c)
  list(APPEND haul_blake3_definitions BLAKE3_USE_NEON=1)
endif()
list(TRANSFORM haul_blake3_sources PREPEND "${HAUL_BLAKE3_SOURCE}/")
add_library(haul_blake3 STATIC ${haul_blake3_sources})
target_include_directories(haul_blake3 SYSTEM PUBLIC "${HAUL_BLAKE3_SOURCE}")
target_compile_definitions(haul_blake3 PRIVATE ${haul_blake3_definitions})
