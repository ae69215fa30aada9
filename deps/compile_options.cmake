# Flags of our own code; third-party sources are compiled with their own.
add_library(ls_options INTERFACE)
target_compile_definitions(ls_options INTERFACE _GNU_SOURCE LS_VERSION="${PROJECT_VERSION}")
target_compile_options(ls_options INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef
  -Wno-sign-conversion -fno-strict-aliasing -fno-common -fstack-protector-strong)
target_include_directories(ls_options INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_BINARY_DIR}/generated)

if(LS_WERROR)
  target_compile_options(ls_options INTERFACE -Werror)
endif()
if(LS_FAULTS)
  target_compile_definitions(ls_options INTERFACE LS_FAULTS=1)
endif()

if(LS_SANITIZE STREQUAL "address")
  target_compile_options(ls_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined
    -fno-omit-frame-pointer -fno-pie)
  # UBSan's tables hold 90,000 addresses: at fixed ones a process need not relocate them, a sixth of its start.
  target_link_options(ls_options INTERFACE -fsanitize=address,undefined -no-pie)
elseif(LS_SANITIZE STREQUAL "thread")
  # It does not model fences, and says so at each; what they order here is read and written by atomics, which it does.
  target_compile_options(ls_options INTERFACE -fsanitize=thread -fno-omit-frame-pointer -Wno-tsan)
  target_link_options(ls_options INTERFACE -fsanitize=thread)
elseif(LS_SANITIZE)
  message(FATAL_ERROR "LS_SANITIZE is \"${LS_SANITIZE}\"; it takes \"address\", \"thread\" or nothing")
endif()

if(LS_COVERAGE)
  target_compile_options(ls_options INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(ls_options INTERFACE --coverage)
endif()

set(CMAKE_C_FLAGS_DEBUG "-O1 -g")
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT LS_SANITIZE)
  set(CMAKE_C_FLAGS_RELEASE "-O2 -g -DNDEBUG")
  target_compile_definitions(ls_options INTERFACE _FORTIFY_SOURCE=2)
  target_compile_options(ls_options INTERFACE -fstack-clash-protection -fPIE)
  target_link_options(ls_options INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack)
endif()
if(LS_LTO)
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
endif()
if(LS_FUZZ)
  target_compile_options(ls_options INTERFACE -fsanitize=fuzzer-no-link,address,undefined -fno-omit-frame-pointer)
  target_link_options(ls_options INTERFACE -fsanitize=address,undefined)
endif()
