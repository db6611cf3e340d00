"""A rule for a library that is static archives of the system."""

def static_library(name, archives = [], linkopts = [], **kwargs):
    """Declares a cc_library that links system archives.

    Args:
      name: the target.
      archives: names without "lib" and ".a", in any order (they are linked as one group).
      linkopts: further options.
      **kwargs: deps, defines, includes, ... of cc_library.
    """
    group = ["-l:lib%s.a" % archive for archive in archives]
    if len(group) > 1:
        group = ["-Wl,--start-group"] + group + ["-Wl,--end-group"]
    native.cc_library(
        name = name,
        linkopts = group + linkopts,
        visibility = ["//visibility:public"],
        **kwargs
    )
