"""The proto rules that Bazel itself brings, under the name that Bazel's own files load them by."""

proto_lang_toolchain = native.proto_lang_toolchain
proto_library = native.proto_library
