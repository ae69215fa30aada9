# Mbedtls::crypto.  Debian 12's mbedtls has neither a .pc nor a cmake file, Debian 13's has both: the library itself is the same to us.
find_path(MBEDTLS_INCLUDE_DIR mbedtls/sha1.h)
find_library(MBEDTLS_CRYPTO_LIBRARY mbedcrypto)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Mbedtls
  REASON_FAILURE_MESSAGE "run deps/install"
  REQUIRED_VARS MBEDTLS_INCLUDE_DIR MBEDTLS_CRYPTO_LIBRARY)

if(Mbedtls_FOUND AND NOT TARGET Mbedtls::crypto)
  add_library(Mbedtls::crypto UNKNOWN IMPORTED)
  set_target_properties(Mbedtls::crypto PROPERTIES IMPORTED_LOCATION ${MBEDTLS_CRYPTO_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${MBEDTLS_INCLUDE_DIR})
endif()
