# `cmake --install` gives a working tree.
install(TARGETS luaserv RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY examples/ DESTINATION ${CMAKE_INSTALL_DATADIR}/luaserv/examples)
install(FILES conf/luaserv.service conf/luaserv.conf.example DESTINATION ${CMAKE_INSTALL_DATADIR}/luaserv OPTIONAL)
install(FILES docs/luaserv.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 OPTIONAL)
