# Language level, warnings, hardening and sanitizers shared by every target.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

find_program(HAUL_CCACHE ccache)
if(HAUL_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${HAUL_CCACHE}")
  set(CMAKE_C_COMPILER_LAUNCHER "${HAUL_CCACHE}")
endif()

add_library(haul_options INTERFACE)
target_include_directories(haul_options INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_definitions(haul_options INTERFACE _FILE_OFFSET_BITS=64)
target_compile_options(haul_options INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor -Woverloaded-virtual
  -Wcast-align -Wnull-dereference -Wimplicit-fallthrough
  -fstack-protector-strong -fno-omit-frame-pointer)
if(HAUL_WARNINGS_AS_ERRORS)
  target_compile_options(haul_options INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Both fire inside libstdc++ 12 on correct code once it is inlined.
  target_compile_options(haul_options INTERFACE -Wno-null-dereference -Wno-restrict)
endif()

if(HAUL_SANITIZE)
  target_compile_options(haul_options INTERFACE -fsanitize=${HAUL_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(haul_options INTERFACE -fsanitize=${HAUL_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo" OR CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(haul_options INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  target_compile_definitions(haul_options INTERFACE _GLIBCXX_ASSERTIONS)
  target_link_options(haul_options INTERFACE -Wl,-z,relro,-z,now)
endif()
if(HAUL_COVERAGE)
  target_compile_options(haul_options INTERFACE --coverage)
  target_link_options(haul_options INTERFACE --coverage)
endif()
