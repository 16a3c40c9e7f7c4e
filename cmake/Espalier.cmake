# Compiler settings and the two functions every room uses.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)  # the Python module links the rooms
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE}")
endif()

# -ffp-contract=off: the numerics contract writes every fused multiply-add out.
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-ffp-contract=off;-fno-math-errno;-fdiagnostics-color=auto>")
# Warnings are errors where CI builds; what a newer compiler finds new must not keep a newcomer from building.
if((CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
   OR (CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 15))
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # gcc 12 reports these inside its own library's inlined strings and vectors (bugs 105329, 105562).
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict;-Wno-stringop-overflow;-Wno-array-bounds;-Wno-maybe-uninitialized;-Wno-dangling-pointer>")
  # It takes a coroutine's own lambda for a type without linkage where the source is included by another.
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>)
endif()
if(ESPALIER_SANITIZE)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${ESPALIER_SANITIZE};-fno-omit-frame-pointer;-fno-sanitize-recover=all;-D_GLIBCXX_ASSERTIONS>")
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    # Its check of function pointers' types does not assemble for coroutines (clang 14).
    add_compile_options(-fno-sanitize=function)
  endif()
  add_link_options(-fsanitize=${ESPALIER_SANITIZE})
endif()
if(ESPALIER_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(nlohmann_json 3.9 REQUIRED)
find_package(tl-expected REQUIRED)
find_package(CLI11 REQUIRED)
find_package(spdlog REQUIRED)
pkg_check_modules(RE2 REQUIRED IMPORTED_TARGET re2)
find_package(pegtl REQUIRED)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(ZIP REQUIRED IMPORTED_TARGET libzip)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)

# Six sources of a folder are compiled together, by a file that includes them: the headers cost more than the sources.
# Sources with flags of their own (set before) stay alone, and with the debug preset every source. Not CMake's unity build:
# its files name their sources by the clone's folder, which ccache takes for a difference. espalier_together(OUT source...):
# OUT is what to compile.
option(ESPALIER_UNITY "Compile several sources of a folder together" ON)
function(espalier_together out)
  set(alone "")
  set(files "")
  foreach(source IN LISTS ARGN)
    get_source_file_property(options "${source}" COMPILE_OPTIONS)
    if(options OR NOT ESPALIER_UNITY)
      list(APPEND alone "${source}")
      continue()
    endif()
    file(RELATIVE_PATH name "${PROJECT_SOURCE_DIR}" "${source}")
    get_filename_component(folder "${name}" DIRECTORY)
    string(REPLACE "/" "_" folder "${folder}")
    if(NOT DEFINED count_${folder})
      set(count_${folder} 0)
    endif()
    math(EXPR number "${count_${folder}} / 6")
    math(EXPR count_${folder} "${count_${folder}} + 1")
    set(file "${folder}_${number}")
    list(APPEND files "${file}")
    string(APPEND text_${file} "#include \"${name}\"\n")
  endforeach()
  list(REMOVE_DUPLICATES files)
  foreach(file IN LISTS files)
    set(path "${CMAKE_CURRENT_BINARY_DIR}/together/${file}.cpp")
    file(CONFIGURE OUTPUT "${path}" CONTENT "${text_${file}}" @ONLY)
    list(APPEND alone "${path}")
  endforeach()
  set(${out} "${alone}" PARENT_SCOPE)
endfunction()

# espalier_room(NAME [EXCLUDE regex] DEPENDS lib...): the library espalier::NAME from every .cpp below this folder. Sources
# that need compiler flags of their own get them by set_source_files_properties in the room's CMakeLists.txt, before.
function(espalier_room name)
  cmake_parse_arguments(ARG "" "EXCLUDE" "DEPENDS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cpp")
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  if(ARG_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX "${ARG_EXCLUDE}")
  endif()
  if(sources)
    espalier_together(sources ${sources})
    add_library(espalier_${name} STATIC ${sources})
    target_include_directories(espalier_${name} PUBLIC "${PROJECT_SOURCE_DIR}")
    target_link_libraries(espalier_${name} PUBLIC ${ARG_DEPENDS} tl::expected Threads::Threads)
  else()
    add_library(espalier_${name} INTERFACE)
    target_include_directories(espalier_${name} INTERFACE "${PROJECT_SOURCE_DIR}")
    target_link_libraries(espalier_${name} INTERFACE ${ARG_DEPENDS} tl::expected)
  endif()
  add_library(espalier::${name} ALIAS espalier_${name})
endfunction()

# For code that runs seldom or waits for what others compute (the language, the command line): -O1, which spares a
# quarter of the compiler's time. A source that is hot all the same gets its own level in its CMakeLists.txt.
function(espalier_compile_quickly target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()

# Test programs: -Og, and one precompiled header for them all (the first program makes it), which together spare a third of
# the compiler's time there. Elsewhere sources are compiled together, which spares more.
function(espalier_compile_as_test target)
  # -pthread: some libraries ask for it and others do not, and the header must have been made with the same.
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-Og> -pthread)
  get_property(owner GLOBAL PROPERTY ESPALIER_TEST_HEADERS)
  if(owner)
    target_precompile_headers(${target} REUSE_FROM ${owner})
  else()
    target_precompile_headers(${target} PRIVATE <gmock/gmock.h> <gtest/gtest.h> <nlohmann/json.hpp> <tl/expected.hpp>
      <algorithm> <array> <chrono> <coroutine> <filesystem> <fstream> <functional> <map> <memory> <optional> <random> <regex>
      <set> <span> <sstream> <string> <string_view> <thread> <unordered_map> <variant> <vector>)
    set_property(GLOBAL PROPERTY ESPALIER_TEST_HEADERS ${target})
  endif()
endfunction()

# espalier_tests(NAME [SHARDS n] DEPENDS lib...): one GoogleTest program from every .cpp in this folder, known to ctest
# under NAME, or as n parts of its tests, NAME_1 to NAME_n: a long program's run side by side, and under a sanitizer each
# has the time that one test may take. Data that the tests read stands beside them (tests/support/source_folder.h).
function(espalier_tests name)
  cmake_parse_arguments(ARG "" "SHARDS" "DEPENDS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cpp")
  if(NOT sources)
    return()
  endif()
  add_executable(${name}_test ${sources})
  target_link_libraries(${name}_test PRIVATE ${ARG_DEPENDS} espalier_source_folder GTest::gmock
    GTest::gtest_main)
  espalier_compile_as_test(${name}_test)
  if(NOT ARG_SHARDS)
    add_test(NAME ${name} COMMAND ${name}_test WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
    return()
  endif()
  foreach(shard RANGE 1 ${ARG_SHARDS})
    math(EXPR index "${shard} - 1")
    add_test(NAME ${name}_${shard} COMMAND ${name}_test WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
    set_tests_properties(${name}_${shard} PROPERTIES
      ENVIRONMENT "GTEST_TOTAL_SHARDS=${ARG_SHARDS};GTEST_SHARD_INDEX=${index}")
  endforeach()
endfunction()
