# SPDX-License-Identifier: GPL-3.0-or-later
"""The interop clients of other languages: what make builds of them, and what that needs."""

from client.examples.build import NODE, Example

JAVA = (
    "a JDK and Debian's packages of grpc-java (apt-get install default-jdk-headless protobuf-compiler"
    " protobuf-compiler-grpc-java-plugin libgrpc-java libprotobuf-java libnetty-java libguava-java libperfmark-java"
    " libgoogle-gson-java libgeronimo-annotation-1.3-spec-java)"
)
# Each is called with a port and the names of cases, and prints the names of those that hold.
RUNNERS = {
    "grpc-js": Example("build/interop/node/client", ("node", "npm"), NODE),
    "grpc-java": Example(
        "build/interop/java/client",
        ("javac", "protoc", "grpc_java_plugin", "/usr/share/maven-repo/io/grpc/grpc-netty"),
        JAVA,
    ),
}
PAGE = Example("build/interop/browser/dist/page.js", ("node", "npm"), NODE)
