"""holdfast_proto_library: C++ code and a descriptor set from .proto files.

protoc, its C++ plugins and google/protobuf/*.proto are Debian's.
"""

_ProtoSources = provider(
    doc = "The .proto files of a library and of what it imports.",
    fields = {"sources": "depset of File"},
)

def _run_protoc(ctx, sources, inputs, outputs, arguments, mnemonic):
    arguments.add("-I" + (ctx.attr.root or "."))
    arguments.add("-I/usr/include")
    arguments.add_all(sources)
    ctx.actions.run(
        executable = "/usr/bin/protoc",
        arguments = [arguments],
        inputs = inputs,
        outputs = outputs,
        mnemonic = mnemonic,
        progress_message = "protoc %s" % ctx.label,
    )

def _generate_impl(ctx):
    inputs = depset(
        ctx.files.srcs,
        transitive = [dep[_ProtoSources].sources for dep in ctx.attr.deps],
    )
    suffixes = [".pb"] + ([".grpc.pb"] if ctx.attr.grpc else [])
    headers, code = [], []
    for source in ctx.files.srcs:
        stem = source.basename[:-len(".proto")]
        headers += [ctx.actions.declare_file(stem + suffix + ".h") for suffix in suffixes]
        code += [ctx.actions.declare_file(stem + suffix + ".cc") for suffix in suffixes]

    arguments = ctx.actions.args()
    out = ctx.bin_dir.path + ("/" + ctx.attr.root if ctx.attr.root else "")
    arguments.add("--cpp_out=" + out)
    if ctx.attr.grpc:
        arguments.add("--grpc_out=" + out)
        arguments.add("--plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin")
    _run_protoc(ctx, ctx.files.srcs, inputs, headers + code, arguments, "HoldfastProto")

    arguments = ctx.actions.args()
    arguments.add("--include_imports")
    arguments.add("--include_source_info")
    arguments.add(ctx.outputs.descriptor_set, format = "--descriptor_set_out=%s")
    _run_protoc(
        ctx,
        ctx.files.srcs,
        inputs,
        [ctx.outputs.descriptor_set],
        arguments,
        "HoldfastProtoDescriptor",
    )
    return [
        DefaultInfo(files = depset(headers + code)),
        OutputGroupInfo(headers = depset(headers), code = depset(code)),
        _ProtoSources(sources = inputs),
    ]

_generate = rule(
    implementation = _generate_impl,
    attrs = {
        "deps": attr.label_list(providers = [_ProtoSources]),
        "descriptor_set": attr.output(mandatory = True),
        "grpc": attr.bool(),
        "root": attr.string(),
        "srcs": attr.label_list(allow_files = [".proto"], mandatory = True),
    },
)

def holdfast_proto_library(
        name,
        srcs,
        deps = [],
        grpc = False,
        root = "",
        visibility = None,
        **kwargs):
    """Declares a cc_library with the code generated from .proto files of this package.

    Files import each other by their path from `root`; code includes the result by its path from
    the repository's root ("proto/holdfast/v1/job.pb.h"). Also makes `<name>_descriptor_set.pb`,
    which has the imports and the comments in it.

    Args:
      name: the cc_library.
      srcs: .proto files.
      deps: other holdfast_proto_library targets whose files are imported.
      grpc: whether to generate services too.
      root: a folder above this package, whose BUILD file has the target include_root; empty: the
        repository's root. The same in all of `deps`.
      visibility: as everywhere.
      **kwargs: testonly, tags.
    """
    _generate(
        name = name + "_generated",
        srcs = srcs,
        deps = [_generated(dep) for dep in deps],
        descriptor_set = name + "_descriptor_set.pb",
        grpc = grpc,
        root = root,
        visibility = visibility,
        **kwargs
    )
    native.filegroup(
        name = name + "_headers",
        srcs = [name + "_generated"],
        output_group = "headers",
        **kwargs
    )
    native.filegroup(
        name = name + "_code",
        srcs = [name + "_generated"],
        output_group = "code",
        **kwargs
    )
    native.cc_library(
        name = name,
        srcs = [name + "_code"],
        hdrs = [name + "_headers"],
        copts = ["-w"],
        deps = deps + (["@grpc//:grpc++"] if grpc else ["@protobuf"]) +
               (["//%s:include_root" % root] if root else []),
        visibility = visibility,
        **kwargs
    )

def _generated(dep):
    if ":" in dep:
        return dep + "_generated"
    return "%s:%s_generated" % (dep, dep.rpartition("/")[2])
