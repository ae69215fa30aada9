# luaserv in a container.  BASE may be debian:bookworm-slim or debian:trixie-slim.
#
#   docker build -t luaserv .
#   docker run --rm -p 8080:8080 --read-only --tmpfs /tmp --cap-drop=all --security-opt=no-new-privileges luaserv
#
# An image of your own app: FROM luaserv, then COPY it to /app.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
WORKDIR /src
# The packages first: they change less often than the sources.
COPY deps deps
RUN deps/install build
COPY CMakeLists.txt ./
COPY src src
COPY lua lua
COPY examples examples
COPY conf conf
COPY docs docs
RUN cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=/usr/local -DLS_TESTS=OFF \
	&& cmake --build build --target luaserv \
	&& DESTDIR=/out cmake --install build --strip

FROM ${BASE}
COPY deps /tmp/deps
RUN /tmp/deps/install runtime \
	&& rm -rf /tmp/deps /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb /var/log/*
COPY --from=build /out/usr/local /usr/local
COPY examples/hello /app

LABEL org.opencontainers.image.title="luaserv" \
	org.opencontainers.image.description="A network server scripted in Lua" \
	org.opencontainers.image.licenses="MIT"

# Any uid works (OpenShift chooses its own); group 0 as there.
USER 10001:0
WORKDIR /app
# The file system may be read-only but for a tmpfs on /tmp.
ENV HOME=/tmp LUASERV_RUNTIME_DIR=/tmp/luaserv HOST=0.0.0.0 PORT=8080
EXPOSE 8080
# SIGTERM drains: no new connections, requests under way are answered.  The log goes to stderr.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["luaserv", "status", "-s", "/app/app.lua"]
ENTRYPOINT ["luaserv"]
CMD ["-s", "/app/app.lua"]
