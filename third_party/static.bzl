"""A rule for a library that is static archives of the system."""

def static_library(name, archives = [], linkopts = [], quiet_archives = [], quiet = None, **kwargs):
    """Declares a cc_library that links system archives.

    Args:
      name: the target.
      archives: names without "lib" and ".a", in any order (they are linked as one group).
      linkopts: further options.
      quiet_archives: more archives, of which --config=tsan links a copy instead.
      quiet: the label of the copies, if any: see //third_party/tsan.
      **kwargs: deps, defines, includes, ... of cc_library.
    """
    if quiet:
        kwargs["srcs"] = select({
            "@holdfast//tools/build:tsan": [quiet],
            "//conditions:default": [],
        })
        options = select({
            "@holdfast//tools/build:tsan": _group(archives),
            "//conditions:default": _group(quiet_archives + archives),
        })
    else:
        options = _group(archives)
    native.cc_library(
        name = name,
        linkopts = options + linkopts,
        linkstatic = True,
        visibility = ["//visibility:public"],
        **kwargs
    )

def _group(archives):
    group = ["-l:lib%s.a" % archive for archive in archives]
    return ["-Wl,--start-group"] + group + ["-Wl,--end-group"] if len(group) > 1 else group
