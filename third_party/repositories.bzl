"""Everything that is not ours: each library, named once.

Bazel never downloads anything here. What it would fetch for itself is overridden by
stand-ins in third_party/bazel; the libraries are Debian's packages (tools/packages.txt).
"""

load("//third_party:debian.bzl", "debian_library")

_STAND_INS = [
    "bazel_skylib",
    "remote_coverage_tools",
    "rules_cc",
    "rules_java",
    "rules_proto",
]

# Repository -> a header that its Debian package installs.
_LIBRARIES = {
    "absl": "/usr/include/absl/status/status.h",
    "benchmark": "/usr/include/benchmark/benchmark.h",
    "cli11": "/usr/include/CLI/CLI.hpp",
    "grpc": "/usr/include/grpcpp/grpcpp.h",
    "gtest": "/usr/include/gmock/gmock.h",
    "nlohmann_json": "/usr/include/nlohmann/json.hpp",
    "protobuf": "/usr/include/google/protobuf/message.h",
    "rabbitmq": "/usr/include/amqp.h",
    "rocksdb": "/usr/include/rocksdb/db.h",
    "spdlog": "/usr/include/spdlog/spdlog.h",
    "xxhash": "/usr/include/xxhash.h",
}

def holdfast_repositories():
    for name in _STAND_INS:
        native.local_repository(name = name, path = "third_party/bazel/" + name)
    for name, header in _LIBRARIES.items():
        debian_library(
            name = name,
            build_file = "//third_party:%s.BUILD" % name,
            needs = [header],
        )
