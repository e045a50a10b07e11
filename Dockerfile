# The images of reelflow. Two are made of this file, which differ in what lies beside the
# programs:
#
#   reelflow         starter and worker; the gateway and the roles control and transfer
#   reelflow-media   the same with ffmpeg; the role media
#
# Both run as a user without rights, on a root file system that may be read-only. They need
# no builder but the one that every engine has.

FROM node:22-bookworm-slim AS pages
WORKDIR /src/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-progress --loglevel=error
COPY web/build.js web/tsconfig.json ./
COPY web/src src
RUN npm run --silent build

FROM golang:1.26-bookworm AS programs
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY activities activities
COPY internal internal
COPY starter starter
COPY video video
COPY web web
COPY worker worker
COPY workflows workflows
COPY --from=pages /src/web/dist web/dist
# Without C there is nothing to link with at run time.
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags='-s -w' -o /out/ ./starter ./worker

FROM busybox:1.37 AS reelflow
COPY --from=programs /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=programs /out/ /usr/local/bin/
USER 10001:10001
CMD ["starter", "serve"]

FROM debian:bookworm-slim AS reelflow-media
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ffmpeg \
 && rm -rf /var/lib/apt/lists/*
COPY --from=programs /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=programs /out/worker /usr/local/bin/
# What asks for its health.
COPY --from=reelflow /bin/busybox /usr/local/bin/wget
USER 10001:10001
CMD ["worker", "--role", "media"]
