# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates in grpcio's form. Python's own TLS says first whether they make sense: grpcio's errors do not."""

from collections.abc import Callable

import grpc

from gateway.serving.reloading import Reloading
from gateway.serving.settings import BackendSettings
from gateway.serving.tls import ServerTls, channel_files, client_context, server_context


def server_credentials(tls: ServerTls) -> grpc.ServerCredentials:
    """TLS of a server. Every new connection gets the certificate as the files are now.

    Raises:
        OSError: a file cannot be read.
        ValueError: they are no certificate and key that belong together, or no certificates of an authority.
    """

    def parse(chain: bytes, private: bytes, ca: bytes | None = None) -> grpc.ServerCertificateConfiguration:
        server_context(tls, ca)
        return grpc.ssl_server_certificate_configuration([(private, chain)], root_certificates=ca)

    files = Reloading(tls.paths, parse)
    configuration = files.current()
    return grpc.dynamic_ssl_server_credentials(
        configuration,
        _changes(files, configuration),  # type: ignore[arg-type]  # None for "no change" is documented, the stub lacks it
        require_client_authentication=tls.client_ca is not None,
    )


def channel_credentials(target: str, settings: BackendSettings) -> Reloading[grpc.ChannelCredentials] | None:
    """TLS of a channel, None for plaintext.

    Raises:
        UnsafeSettings: the target is not on this machine, and nothing says that plaintext will do.
        OSError: a file cannot be read.
        ValueError: they are no certificates or keys.
    """
    paths = channel_files(target, settings)
    if paths is None:
        return None

    def parse(ca: bytes, chain: bytes | None = None, private: bytes | None = None) -> grpc.ChannelCredentials:
        client_context(settings, ca)
        return grpc.ssl_channel_credentials(ca, private, chain)

    return Reloading(paths, parse)


def _changes(
    files: Reloading[grpc.ServerCertificateConfiguration], given: grpc.ServerCertificateConfiguration
) -> Callable[[], grpc.ServerCertificateConfiguration | None]:
    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        configuration = files.current()
        if configuration is given:
            return None
        given = configuration
        return configuration

    return fetch
