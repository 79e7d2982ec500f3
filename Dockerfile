# The bundle, one Node, what an agent calls and a small Debian: `docker build -t nodeport-lb:0.1.0 .`. No step runs on the platform
# that is built for, so `docker buildx build --platform linux/amd64,linux/arm64 --sbom=true --provenance=true` needs no emulation.
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

# What an agent calls, and what it needs beyond the base: apt resolves it for the platform that is built for, whose base has the
# packages of this one, and it is unpacked without running any of it. Perl comes with keepalived's SNMP, which links its library
# and runs none of it. Of the documentation the copyright files stay, and each package's entry for who scans the image.
FROM --platform=$BUILDPLATFORM ${BASE} AS tools
ARG TARGETARCH
WORKDIR /tools
RUN set -eu; own=$(dpkg --print-architecture); arch=${TARGETARCH:-$own}; \
    mkdir -p debs/partial lists/partial root/usr/bin root/usr/sbin root/usr/lib root/var/lib/dpkg/status.d; \
    for link in bin sbin lib; do ln -s "usr/$link" "root/$link"; done; \
    sed "s/^Architecture: $own\$/Architecture: $arch/" /var/lib/dpkg/status >status; \
    get() { apt-get -qq -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o Dir::State::status=/tools/status \
      -o Dir::State::lists=/tools/lists -o Dir::Cache::archives=/tools/debs -o APT::Sandbox::User=root "$@"; }; \
    get update; get install --download-only --no-install-recommends -y nftables iproute2 conntrack keepalived; \
    for deb in debs/*.deb; do \
      dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C root; \
      dpkg-deb --field "$deb" >"root/var/lib/dpkg/status.d/$(dpkg-deb --field "$deb" Package)"; \
    done; \
    find root/usr/share -mindepth 1 -maxdepth 1 ! -name doc -exec rm -r {} +; \
    find root/usr/share/doc ! -type d ! -name copyright -delete; \
    rm -rf root/usr/lib/systemd root/usr/lib/*/perl

# What is in the image, in a file of it: the same for the same packages, whoever builds it.
FROM build AS sbom
COPY --from=tools /tools/status /tools/root/var/lib/dpkg/status.d /dpkg/
RUN node src/sbom.ts /dpkg/* >sbom.json

FROM ${NODE} AS node

# Debian for what Node links (libstdc++); without npm and compilers there is nothing in it that the program does not use.
FROM ${BASE}
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=tools /tools/root/usr /usr
COPY --from=tools /tools/root/var/lib/dpkg/status.d /var/lib/dpkg/status.d
WORKDIR /opt/nodeport-lb
COPY --chmod=644 package.json LICENSE ./
COPY --from=build /src/dist dist
COPY --from=sbom /src/sbom.json ./
# The launcher finds the bundle beside its own directory; it becomes process 1 itself, so signals reach the program.
COPY --chmod=755 src/bin.js bin/nodeport-lb
ENV PATH=/opt/nodeport-lb/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# V8's young generation, 16 MB by default, is kept small: 500 Services at once then cost 117 MB at the most instead of 140, and no
# more processor time. The old generation follows the container's memory limit by itself.
ENV NODE_OPTIONS=--max-semi-space-size=2
USER 65532:65532
ENTRYPOINT ["nodeport-lb"]
CMD ["--help"]
