"""holdfast_fuzz_test: a libFuzzer target that is a regression test everywhere else."""

def holdfast_fuzz_test(name, srcs, corpus, deps = [], **kwargs):
    """Declares a fuzz target: srcs define LLVMFuzzerTestOneInput and no main.

    `bazel test` runs it over the committed corpus (in every configuration);
    `bazel run --config=fuzz //folder:name -- -max_total_time=60 /a/folder` fuzzes, and writes
    what it finds to the folder.

    Args:
      name: ends in _fuzz.
      srcs: the target's sources.
      corpus: a folder of this package with one committed input a file; not empty.
      deps: as in cc_test.
      **kwargs: as in cc_test.
    """
    files = native.glob([corpus + "/**"])
    if not files:
        fail("%s: no input in %s" % (name, corpus))
    native.cc_test(
        name = name,
        size = kwargs.pop("size", "small"),
        srcs = srcs,
        args = [native.package_name() + "/" + corpus],
        data = kwargs.pop("data", []) + files,
        deps = deps + select({
            "//tools/build:fuzz": ["//tools/build:libfuzzer"],
            "//conditions:default": ["//tools/build:fuzz_corpus_main"],
        }),
        **kwargs
    )
