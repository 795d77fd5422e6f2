# The binary, the libraries that it needs, and nothing else: no shell, no package manager, not root.
#
#   npm run build && docker build -t rstream-engine-ce .
#
# No container engine runs where this project is tested: tests read this file (test/binary/container.test.ts), nobody builds it there.
FROM debian:12-slim AS image
RUN apt-get update \
  && apt-get install --yes --no-install-recommends libatomic1 libstdc++6 \
  && rm -rf /var/lib/apt/lists/*
COPY dist/rstream-engine-ce /image/rstream-engine-ce
RUN mkdir -m 700 /image/data && mkdir -m 1777 /image/tmp \
  && ldd /image/rstream-engine-ce | grep -o '/[^ ]*' | xargs cp --dereference --parents --target-directory=/image \
  && chown 65532:65532 /image/data

FROM scratch
COPY --from=image /image /
USER 65532:65532
VOLUME /data
EXPOSE 443
ENTRYPOINT ["/rstream-engine-ce"]
CMD ["serve", "--config", "/data/config.yaml"]
# A handshake as an agent makes it.
HEALTHCHECK --interval=30s --timeout=15s --start-period=5s \
  CMD ["/rstream-engine-ce", "doctor", "--config", "/data/config.yaml", "--only", "engine"]
