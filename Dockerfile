# The image of otp-auth: the program, certificate authorities, and no shell. Not root.
#
# Only what every builder understands is used: no heredocs, no `COPY --link`.

FROM rust:1-bookworm AS build
WORKDIR /build
# sqlx checks the queries against .sqlx/ instead of a database.
ENV SQLX_OFFLINE=true
COPY Cargo.toml Cargo.lock build.rs ./
COPY .sqlx .sqlx
COPY config config
COPY migrations migrations
COPY src src
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin otp-auth \
    && install -D target/release/otp-auth /out/otp-auth

# Same Debian as above, for the same libc. Its user 65532 may write nothing.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY LICENSE /usr/share/doc/otp-auth/LICENSE
COPY --from=build /out/otp-auth /usr/local/bin/otp-auth
# The admin listener stays on loopback; the health check asks it from inside.
ENV OTP_AUTH_ENV=production \
    OTP_AUTH__SERVER__BIND=0.0.0.0:8080
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/otp-auth", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/otp-auth"]
CMD ["serve"]
