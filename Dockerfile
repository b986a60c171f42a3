# A small image with one binary, run as a user without rights.
#   docker build -t alleycat-operator .
# scripts/check-container runs these steps in order without a container engine, as far as that goes; it
# understands relative paths, one instruction a line (or continued by a backslash), and nothing fancier.

FROM rust:1.95-bookworm AS build
WORKDIR /build

# The dependencies change seldom: they are built from the manifests alone and stay in a layer of their own.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs
RUN cargo build --release --locked
RUN rm -r src

# The sources, and the files that are compiled in.
COPY src ./src
COPY examples ./examples
COPY policies ./policies
RUN touch src/main.rs src/lib.rs
RUN cargo build --release --locked
RUN mkdir -p image/bin image/share image/state
RUN cp target/release/alleycat-operator image/bin/
RUN cp -r examples policies image/share/

FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="alleycat-operator" \
      org.opencontainers.image.description="Keeps a Kinesis to Lambda to DynamoDB pipeline the right size" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"
COPY --from=build /build/image/bin/ /usr/local/bin/
COPY --from=build /build/image/share/ /usr/share/alleycat-operator/
COPY --from=build --chown=65532:65532 /build/image/state/ /var/lib/alleycat-operator/
ENV ALLEYCAT_STATE_DIR=/var/lib/alleycat-operator
VOLUME ["/var/lib/alleycat-operator"]
WORKDIR /var/lib/alleycat-operator
# The number is the distroless nonroot user's; Kubernetes checks runAsNonRoot by number.
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/alleycat-operator"]
CMD ["daemon", "/etc/alleycat-operator/pipeline.yaml", "--log-format=json"]
