# Llhttp::llhttp, from a system library (Debian 13) or compiled from the sources that Debian 12's node-llhttp ships.
pkg_check_modules(LLHTTP_SYSTEM QUIET IMPORTED_TARGET libllhttp)
if(LLHTTP_SYSTEM_FOUND)
  add_library(Llhttp::llhttp ALIAS PkgConfig::LLHTTP_SYSTEM)
  set(Llhttp_FOUND TRUE)
  return()
endif()

# deps/install puts all four files into one folder; an installed node-llhttp has them in two.
find_path(LLHTTP_INCLUDE_DIR llhttp.h PATHS /usr/local/share/llhttp /usr/share/include/llhttp NO_DEFAULT_PATH)
find_path(LLHTTP_SOURCE_DIR llhttp.c PATHS /usr/local/share/llhttp /usr/share/llhttp NO_DEFAULT_PATH)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Llhttp
  REASON_FAILURE_MESSAGE "run deps/install, which takes the sources out of Debian's node-llhttp"
  REQUIRED_VARS LLHTTP_INCLUDE_DIR LLHTTP_SOURCE_DIR)

if(Llhttp_FOUND AND NOT TARGET llhttp_sources)
  add_library(llhttp_sources STATIC ${LLHTTP_SOURCE_DIR}/llhttp.c ${LLHTTP_SOURCE_DIR}/http.c
    ${LLHTTP_SOURCE_DIR}/api.c)
  target_include_directories(llhttp_sources SYSTEM PUBLIC ${LLHTTP_INCLUDE_DIR})
  # Strict mode changes the header too, so users see it; llhttp's header scan has an SSE4.2 path worth 2-3 times.
  target_compile_definitions(llhttp_sources PUBLIC LLHTTP_STRICT_MODE=1)
  target_compile_options(llhttp_sources PRIVATE -w -O3)
  if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64" AND LS_LLHTTP_SSE42)
    target_compile_options(llhttp_sources PRIVATE -march=x86-64-v2)
  endif()
  add_library(Llhttp::llhttp ALIAS llhttp_sources)
endif()
