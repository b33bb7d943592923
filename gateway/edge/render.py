# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder that Envoy runs from: configuration, filters, descriptors, and the pages of the API's reference."""

import importlib.util
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import jinja2

from gateway.edge.certificates import secrets
from gateway.edge.lua_tables import lua_tables
from gateway.edge.rest import descriptor_set, rest_methods, services
from gateway.edge.settings import EdgeSettings
from gateway.serving.environment import split_address
from gateway.serving.settings import PROJECT_ROOT
from gateway.serving.tls import UnsafeSettings
from orrery.inference.channel import is_loopback

SOURCES: Final = PROJECT_ROOT / "serving_config" / "envoy"
OPENAPI: Final = PROJECT_ROOT / "docs" / "openapi.json"
# Each filter is one file of Lua: the contract's tables, then these.
_FILTERS: Final = {
    "edge.lua": ("problem", "paths", "edge"),
    "body.lua": ("problem", "paths", "strict_json", "body"),
    "stream.lua": ("problem", "stream"),
}
HEALTH_INTERVAL_S: Final = 1.0
# A caller has so long to send its first bytes, and as long for the handshake of TLS.
_FIRST_BYTES_S: Final = 3
# Bad answers, after which a front gets no more calls.
_UNHEALTHY_AFTER: Final = 2
_CSP: Final = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class Page:
    """A file that Envoy answers with itself."""

    path: str
    file: str
    media_type: str
    for_any_origin: bool = False
    headers: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Set the headers of the page."""
        headers = {
            "content-type": self.media_type,
            "cache-control": "public, max-age=300",
            "x-content-type-options": "nosniff",
            "content-security-policy": _CSP,
        }
        if self.for_any_origin:
            headers["access-control-allow-origin"] = "*"
        object.__setattr__(self, "headers", headers)


PAGES: Final = (
    # Public, for tools that run in pages of other hosts.
    Page("/api/openapi.json", "openapi.json", "application/json", for_any_origin=True),
    Page("/api/docs/", "index.html", "text/html; charset=utf-8"),
    Page("/api/docs/start.js", "start.js", "application/javascript"),
    Page("/api/docs/swagger-ui.css", "swagger-ui.css", "text/css"),
    Page("/api/docs/swagger-ui-bundle.js", "swagger-ui-bundle.js", "application/javascript"),
)


def render(
    settings: EdgeSettings, folder: Path, *, seen_at: str | None = None, health_interval_s: float = HEALTH_INTERVAL_S
) -> Path:
    """Write all that Envoy needs.

    Args:
        settings: of the edge.
        folder: made if absent.
        seen_at: the folder's path where Envoy will run, if it is another.
        health_interval_s: between two questions for a front's health.

    Returns:
        The configuration's path, for `envoy --config-path`.

    Raises:
        UnsafeSettings: they would open the edge to a network in plaintext.
        ValueError: an address makes no sense.
    """
    _require_safe(settings)
    folder.mkdir(parents=True, exist_ok=True)
    methods = rest_methods()
    tables = lua_tables(methods, settings.max_body_bytes)
    for name, parts in _FILTERS.items():
        sources = (SOURCES / "lua" / f"{part}.lua" for part in parts)
        (folder / name).write_text(tables + "\n".join(source.read_text(encoding="utf-8") for source in sources))
    (folder / "protos.binpb").write_bytes(descriptor_set().SerializeToString(deterministic=True))
    _copy_pages(folder)
    for name, secret in secrets(settings).items():
        (folder / f"{name}.json").write_text(json.dumps(secret), encoding="utf-8")
    where = seen_at or str(folder.resolve())
    config = folder / "envoy.yaml"
    config.write_text(_configuration(settings, where, health_interval_s), encoding="utf-8")
    return config


def _configuration(settings: EdgeSettings, where: str, health_interval_s: float) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SOURCES),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701  # YAML, in which every value is written as JSON
    )
    methods = rest_methods()
    paths = list({rest.path: rest for rest in methods}.values())
    grpc = [f"/{service.full_name}/" for service in services()]
    return environment.get_template("envoy.yaml.j2").render(
        s=settings,
        health_interval_s=health_interval_s,
        unhealthy_after=_UNHEALTHY_AFTER,
        first_bytes_s=_FIRST_BYTES_S,
        folder=where,
        admin_pipe=f"{where}/admin.sock",
        address=split_address(settings.address),
        metrics_address=split_address(settings.metrics_address),
        ratelimit=split_address(settings.ratelimit_address) if settings.ratelimit_address else None,
        services=sorted({rest.method.containing_service.full_name for rest in methods}),
        rest_paths=paths,
        grpc_prefixes=[*grpc, "/grpc.health.v1.Health/", "/grpc.reflection."],
        open_prefixes=["/health", "/api/docs", "/api/openapi.json", "/grpc.health.v1.Health/"],
        pages=PAGES,
    )


def _copy_pages(folder: Path) -> None:
    shutil.copyfile(OPENAPI, folder / "openapi.json")
    for name in ("index.html", "start.js"):
        shutil.copyfile(SOURCES / "docs" / name, folder / name)
    # Read as data: the package around Swagger UI is for Flask.
    package = importlib.util.find_spec("flask_swagger_ui")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("no module flask_swagger_ui", name="flask_swagger_ui")
    for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
        shutil.copyfile(Path(package.origin).parent / "dist" / name, folder / name)


def _require_safe(settings: EdgeSettings) -> None:
    tls = settings.tls_certificate_file
    if (tls is None) != (settings.tls_key_file is None) or (tls is None and settings.client_ca_file):
        raise UnsafeSettings("TLS needs ORRERY_EDGE_TLS_CERTIFICATE_FILE and ORRERY_EDGE_TLS_KEY_FILE")
    own = settings.front_certificate_file
    if (own is None) != (settings.front_key_file is None) or (own and not settings.front_ca_file):
        raise UnsafeSettings(
            "a certificate to show to fronts needs ORRERY_EDGE_FRONT_CERTIFICATE_FILE, ORRERY_EDGE_FRONT_KEY_FILE and"
            " ORRERY_EDGE_FRONT_CA_FILE"
        )
    if tls is None and not settings.plaintext_allowed and not is_loopback(settings.address):
        raise UnsafeSettings(
            f"{settings.address} is open to a network: set ORRERY_EDGE_TLS_CERTIFICATE_FILE, or, where TLS ends before"
            " the edge, ORRERY_EDGE_PLAINTEXT_ALLOWED=true"
        )
