# What luaserv links with; Debian 12 and 13 differ only here.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
pkg_check_modules(LUAJIT REQUIRED IMPORTED_TARGET luajit)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv)
find_package(Llhttp REQUIRED)
find_package(Mbedtls REQUIRED)
pkg_check_modules(BROTLI IMPORTED_TARGET libbrotlienc)
