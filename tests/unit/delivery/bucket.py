# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder behind the two requests of S3 that a delivery makes: ListObjectsV2 with a delimiter, and GetObject."""

import contextlib
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape


@contextlib.contextmanager
def serving(root, bucket="models"):
    """The bucket's endpoint; requests without a signature of AWS' fourth version get 403, as a private bucket's do."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            url = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(url.query))
            if not self.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 Credential=someone/"):
                self._reply(403, b"<Error><Code>AccessDenied</Code></Error>")
            elif "list-type" in query:
                self._reply(200, _listing(root, query.get("prefix", "")))
            elif (path := root / urllib.parse.unquote(url.path).removeprefix(f"/{bucket}/")).is_file():
                self._reply(200, path.read_bytes())
            else:
                self._reply(404, b"<Error><Code>NoSuchKey</Code></Error>")

        def _reply(self, status, body):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Last-Modified", "Thu, 26 Nov 2026 07:00:00 GMT")
            self.send_header("ETag", '"1"')
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def _listing(root, prefix):
    folder = root / prefix
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    prefixes = "".join(
        f"<CommonPrefixes><Prefix>{escape(prefix + entry.name)}/</Prefix></CommonPrefixes>"
        for entry in entries
        if entry.is_dir()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>models</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(entries)}</KeyCount>"
        f"<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{prefixes}</ListBucketResult>"
    ).encode()
