"""Libraries that Debian installs, as Bazel repositories.

Their headers are in /usr/include, which every compiler searches, so a library here is only what
to link: static archives wherever Debian has them, so that a binary of ours needs glibc only.
"""

def _debian_library_impl(ctx):
    for path in ctx.attr.needs:
        if not ctx.path(path).exists:
            fail("%s is missing: run tools/setup, which installs the Debian packages" % path)
    ctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % ctx.name)
    ctx.symlink(ctx.attr.build_file, "BUILD")

debian_library = repository_rule(
    implementation = _debian_library_impl,
    local = True,
    attrs = {
        "build_file": attr.label(mandatory = True),
        "needs": attr.string_list(doc = "files whose absence means a missing package"),
    },
)
