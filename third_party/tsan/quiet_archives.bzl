"""quiet_archives: copies of system archives in which some calls go elsewhere."""

def quiet_archives(name, archives, symbols, folder = "/usr/lib/x86_64-linux-gnu"):
    """Declares a filegroup of copies of archives.

    The functions of std::string get names of their own too ("quiet_..."): our own objects hold
    instrumented instances of some, which the linker would otherwise choose for the archives.

    Args:
      name: the filegroup.
      archives: names without "lib" and ".a".
      symbols: files of "OLD NEW" lines; OLD becomes NEW.
      folder: where they are.
    """
    outs = ["%s/lib%s.a" % (name, archive) for archive in archives]
    native.genrule(
        name = name + "_copy",
        srcs = symbols + ["copy_archive.sh"],
        outs = outs,
        cmd = "for out in $(OUTS); do /bin/bash $(location copy_archive.sh) " +
              folder + "/$$(basename $$out) $$out " +
              " ".join(["$(location %s)" % file for file in symbols]) + "; done",
        tags = ["manual"],
    )
    native.filegroup(
        name = name,
        srcs = outs,
        tags = ["manual"],
    )
