# haul_module(NAME io DEPENDS haul_base LIBRARIES PkgConfig::uring)
#
# One folder, one static library, one namespace: every .cc of the folder and of its internal/ is part of haul_NAME.
function(haul_module)
  cmake_parse_arguments(ARG "" "NAME" "DEPENDS;LIBRARIES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cc"
       "${CMAKE_CURRENT_SOURCE_DIR}/internal/*.cc")
  if(NOT sources)
    add_library(haul_${ARG_NAME} INTERFACE)
    target_link_libraries(haul_${ARG_NAME} INTERFACE haul_options ${ARG_DEPENDS})
    return()
  endif()
  add_library(haul_${ARG_NAME} STATIC ${sources})
  target_link_libraries(haul_${ARG_NAME} PUBLIC haul_options ${ARG_DEPENDS} PRIVATE ${ARG_LIBRARIES})
endfunction()

# haul_test(NAME io_unit FOLDER unit/io DEPENDS haul_io [LABELS unit] [TIMEOUT 300])
#
# One executable per folder of tests; each TEST becomes a ctest entry only through the executable, so that a run
# costs one process start.
function(haul_test)
  cmake_parse_arguments(ARG "" "NAME;FOLDER;TIMEOUT" "DEPENDS;LABELS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${ARG_FOLDER}/*.cc")
  if(NOT sources)
    return()
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 600)
  endif()
  if(HAUL_SANITIZE)
    math(EXPR ARG_TIMEOUT "${ARG_TIMEOUT} * 5")
  endif()
  add_executable(${ARG_NAME} ${sources})
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPENDS} haul_test_support GTest::gmock GTest::gtest_main)
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME})
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
endfunction()
