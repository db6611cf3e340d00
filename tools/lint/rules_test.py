"""Each lint rule catches what it is for, and lets pass what is right."""

import unittest

from tools.lint import cpp
from tools.lint import includes
from tools.lint import macros
from tools.lint import names
from tools.lint import readmes
from tools.lint import sizes
from tools.lint import tree as trees
from tools.lint import words

BASE_BUILD = '''cc_library(
    name = "pure",
    hdrs = [
        "types.h",
    ],
)
'''


class RuleTest(unittest.TestCase):
    def assert_clean(self, rule, files):
        self.assertEqual(rule.check(trees.Tree(files)), [])

    def assert_caught(self, rule, files, *expected):
        """Exactly one violation for each expected text, in order."""
        problems = rule.check(trees.Tree(files))
        self.assertEqual(len(problems), len(expected), problems)
        for problem, text in zip(problems, expected):
            self.assertIn(text, problem)


class Includes(RuleTest):
    def caught(self, path, header, expected):
        self.assert_caught(includes, {"base/BUILD": BASE_BUILD, path: f"#include {header}\n"},
                           expected)

    def clean(self, path, *headers):
        text = "".join(f"#include {header}\n" for header in headers)
        self.assert_clean(includes, {"base/BUILD": BASE_BUILD, path: text})

    def test_the_pure_core_includes_no_clock_thread_lock_file_or_library(self):
        for header in ("<chrono>", "<thread>", "<mutex>", "<fstream>", "<random>", "<atomic>",
                       "<grpcpp/grpcpp.h>", '"absl/synchronization/mutex.h"', "<unistd.h>",
                       "<rocksdb/db.h>", '"absl/time/time.h"', "<iostream>", "<sys/time.h>"):
            self.caught("queue/machine.cc", header, "pure core")
            self.caught("replication/raft/core.cc", header, "pure core")

    def test_the_pure_core_includes_values_containers_and_pure_headers(self):
        self.clean("queue/machine.cc", "<vector>", "<cstdint>", '"absl/container/btree_map.h"',
                   '"base/types.h"', '"queue/job.h"')
        self.clean("queue/script_test.cc", "<fstream>", '"gtest/gtest.h"')

    def test_the_pure_core_does_not_include_the_impure_half_of_base(self):
        self.caught("queue/machine.cc", '"base/clock.h"', "queue/ may not")
        self.caught("queue/machine_test.cc", '"base/clock.h"', "queue/ may not")

    def test_every_arrow_that_is_not_drawn_is_caught(self):
        for path, header in (
                ("base/types.h", "queue/job.h"),
                ("queue/machine.cc", "storage/log_store.h"),
                ("storage/log_store.cc", "queue/job.h"),
                ("storage/log_store.cc", "proto/holdfast/v1/job.pb.h"),
                ("replication/node/loop.cc", "queue/job.h"),
                ("replication/raft/core.cc", "storage/log_store.h"),
                ("server/engine/shard.cc", "proto/holdfast/v1/job.pb.h"),
                ("server/codec/row_codec.cc", "storage/log_store.h"),
                ("server/frontend/grpc/service.cc", "storage/log_store.h"),
                ("server/frontend/grpc/service.cc", "server/codec/row_codec.h"),
                ("client/client.cc", "server/engine/engine.h"),
                ("client/client.cc", "queue/job.h"),
        ):
            self.caught(path, f'"{header}"', "may not include it")

    def test_frontends_do_not_include_one_another_or_the_machine(self):
        self.caught("server/frontend/http/session.cc", '"server/frontend/grpc/service.h"',
                    "may not")
        self.caught("server/frontend/grpc/service.cc", '"queue/machine.h"', "vocabulary")
        self.clean("server/frontend/grpc/service.cc", '"server/answer/outcome_table.h"',
                   '"server/frontend/grpc/service.h"', '"queue/outcome.h"',
                   '"server/engine/engine.h"', '"proto/holdfast/v1/job.pb.h"')

    def test_test_code_stays_in_tests(self):
        self.caught("server/engine/shard.cc", '"tests/support/cluster.h"', "nothing includes")
        self.caught("server/engine/shard.cc", '"storage/faulty/faulty_file_system.h"', "for tests")
        self.caught("queue/machine.cc", '"queue/testing/oracle.h"', "only tests")
        self.clean("server/engine/shard_test.cc", '"storage/faulty/faulty_file_system.h"')

    def test_an_include_relative_to_the_file_is_caught(self):
        self.assert_caught(includes, {"storage/a.h": "", "storage/a.cc": '#include "a.h"\n'},
                           "from the repository's root")


class Sizes(RuleTest):
    @staticmethod
    def function(lines, head="int F() {"):
        return head + "\n" + "  x();\n" * (lines - 2) + "}\n"

    def test_a_long_function_is_caught_wherever_it_stands(self):
        heads = ("int F() {", "void Shard::Apply(const Command& command) noexcept {",
                 "template <typename T>\nT F(T t) {", "TEST(Lease, IsHeldByOne) {",
                 "Foo::Foo() : a_(1), b_{2} {")
        for head in heads:
            text = self.function(72, head)
            for wrapped in (text, "namespace a {\n" + text + "}\n",
                            "class A : public B {\n public:\n" + text + "};\n",
                            'extern "C" {\n' + text + "}\n"):
                problems = sizes.check(trees.Tree({"queue/a.cc": wrapped}))
                self.assertEqual(len(problems), 1, wrapped[:80])
                self.assertIn("at most 70", problems[0])

    def test_functions_up_to_the_bound_are_clean(self):
        self.assert_clean(sizes, {"queue/a.cc": self.function(70) * 3})

    def test_a_long_namespace_class_or_table_is_no_function(self):
        self.assert_clean(sizes, {
            "queue/a.cc": "namespace a {\n" + "int x;\n" * 100 + "}\n",
            "queue/b.cc": "struct A {\n" + "int x;\n" * 100 + "};\n",
            "queue/c.cc": "const int kTable[] = {\n" + "1,\n" * 100 + "};\n",
        })

    def test_braces_in_comments_and_literals_do_not_count(self):
        text = 'int F() {\n  g("{{{", \'{\', R"({ { )"); // {\n  /* {\n */ return 1\'000;\n}\n'
        self.assertEqual(list(cpp.functions(text * 2)), [(1, 4 + 0 + 1), (6, 10)])

    def test_a_long_file_is_caught(self):
        self.assert_caught(sizes, {"queue/a.cc": "int x;\n" * 801}, "801 lines")
        self.assert_clean(sizes, {"queue/a.cc": "int x;\n" * 800})

    def test_a_long_line_is_caught(self):
        self.assert_caught(sizes, {"queue/a.h": "\n" + "int x; " * 15 + "\n"}, "queue/a.h:2: 105")
        self.assert_clean(sizes, {"queue/a.h": "// " + "https://" + "x" * 100 + "\n"})


class Names(RuleTest):
    GUARDED = "#ifndef HOLDFAST_QUEUE_JOB_H_\n#define HOLDFAST_QUEUE_JOB_H_\n#endif\n"

    def test_names_that_say_nothing_are_caught(self):
        for path in ("base/util.cc", "base/string_utils.cc", "server/common/a.cc", "queue/misc.cc",
                     "queue/test_helpers.cc"):
            self.assertTrue(names.check(trees.Tree({path: ""})), path)

    def test_file_names_are_snake_case(self):
        self.assert_caught(names, {"queue/JobTable.cc": ""}, "snake_case")
        self.assert_clean(names, {"queue/job_table.cc": ""})

    def test_tests_fuzz_targets_and_benchmarks_are_named_so(self):
        self.assert_caught(names, {"queue/a.cc": "TEST(A, B) {}\n"}, "_test")
        self.assert_caught(names, {"queue/a.cc": "BENCHMARK(BM_A);\n"}, "_bench")
        self.assert_caught(
            names,
            {"queue/a.cc": 'extern "C" int LLVMFuzzerTestOneInput(const uint8_t* d, size_t n) {}'},
            "_fuzz")
        self.assert_caught(names, {"queue/a_unittest.cc": ""}, "end in _test")
        self.assert_clean(names, {"queue/a_test.cc": "TEST_F(A, B) {}\n"})

    def test_include_guards_follow_the_path(self):
        self.assert_clean(names, {"queue/job.h": self.GUARDED})
        self.assert_caught(names, {"queue/queue.h": self.GUARDED}, "HOLDFAST_QUEUE_QUEUE_H_")
        self.assert_caught(names, {"queue/job.h": "#pragma once\n"}, "guard must be", "pragma")
        wrong = "#ifndef HOLDFAST_QUEUE_JOB_H_\n#define HOLDFAST_QUEUE_JOBS_H_\n#endif\n"
        self.assert_caught(names, {"queue/job.h": wrong}, "guard must be")


class Words(RuleTest):
    def test_words_of_unfinished_work_are_caught(self):
        for word in ("TO" + "DO", "FIX" + "ME", "place" + "holder", "Not" + " implemented"):
            self.assert_caught(words, {"docs/a.md": f"one\n// {word}: x\n"}, "docs/a.md:2")

    def test_longer_words_are_not_mistaken(self):
        self.assert_clean(words, {"queue/a.cc": "// mktemp XXXXXX, WIPE, HACKNEY\n"})

    def test_tests_that_sleep_or_do_not_run_are_caught(self):
        for text in ("std::this_thread::sleep_" + "for(x);", "u" + "sleep(1);",
                     "absl::Sleep" + "For(x);", "GTEST_" + "SKIP();",
                     "TEST(A, DIS" + "ABLED_B) {}"):
            self.assert_caught(words, {"queue/a_test.cc": text}, "queue/a_test.cc:1")

    def test_a_crash_test_may_draw_the_moment_of_a_kill(self):
        self.assert_clean(words, {"queue/a_test.cc": "u" + "sleep(n);  // Chooses the moment.\n"})

    def test_paths_of_one_machine_are_caught(self):
        for path in ("/wo" + "rk/main", "/ro" + "ot/.cache", "/ho" + "me/me/x"):
            self.assert_caught(words, {"tools/run": f"cd {path}\n"}, "one machine")
        self.assert_clean(words, {"tools/run": "cd net" + "/wo" + "rk/ https://a.b/ho" + "me/x\n"})


class Macros(RuleTest):
    def test_a_macro_is_caught(self):
        self.assert_caught(macros, {"queue/a.cc": "#define SQUARE(x) ((x) * (x))\n"}, "SQUARE")

    def test_guards_and_the_vocabulary_are_clean(self):
        self.assert_clean(macros, {"queue/a.h": "#define HOLDFAST_QUEUE_A_H_\n",
                                   "base/check.h": "#define CHECK(x) x\n"})


class Readmes(RuleTest):
    @staticmethod
    def readme(*lines):
        return "\n".join(("# a",) + lines + ("text",) * 10) + "\n"

    def test_a_folder_without_a_readme_is_caught(self):
        self.assert_caught(readmes, {"queue/a.cc": "", "queue/README.md": self.readme(),
                                     "queue/testing/a.cc": ""}, "queue/testing: no README.md")

    def test_folders_of_data_need_none(self):
        self.assert_clean(readmes, {"queue/testdata/a.txt": "", "tests/data/a.txt": "",
                                    "third_party/a.bzl": "", "server/codec/row_corpus/1": ""})

    def test_a_readme_too_short_or_too_long_is_caught(self):
        self.assert_caught(readmes, {"queue/README.md": "# queue\n"}, "1 lines")
        self.assert_caught(readmes, {"queue/README.md": "# queue\n" * 41}, "41 lines")

    def test_targets_that_do_not_exist_are_caught(self):
        files = {"queue/BUILD": 'cc_test(name = "job_test")\n', "queue/README.md": self.readme()}
        for command in ("bazel test //queue:jab_test", "bazel test //quoue/...",
                        "bazel build //server:holdfast", "bazel run //queue:queue"):
            self.assert_caught(readmes, files | {"README.md": self.readme(f"`{command}`")},
                               "no such target")
            self.assert_caught(readmes, files | {"README.md": self.readme("```", command, "```")},
                               "no such target")
        right = self.readme("`bazel test //queue:job_test //queue/... //...`")
        self.assert_clean(readmes, files | {"README.md": right})

    def test_files_that_do_not_exist_are_caught(self):
        files = {"tools/run": "", "tools/README.md": self.readme(), "docs/README.md": self.readme(),
                 "docs/api.md": "# api\n", "queue/README.md": self.readme("`job.h`"),
                 "queue/job.h": ""}
        self.assert_clean(readmes, files | {
            "README.md": self.readme("`tools/run --demo`, `queue/job.h`, `queue/`",
                                     "[a](docs/api.md)",
                                     "[b](https://example.org/docs/b.md)")})
        self.assert_clean(readmes, {
            "proto/README.md": self.readme("`job.proto`, `v1/`, `proto/v1/job.pb.h`"),
            "proto/v1/job.proto": ""})
        for text in ("`tools/fun`", "`queue/jab.h`", "`quoue/`", "[a](docs/apo.md)"):
            self.assert_caught(readmes, files | {"README.md": self.readme(text)}, "no such file")
        self.assert_caught(readmes, files | {"docs/api.md": "see `queue/jab.h`\n"}, "docs/api.md")


if __name__ == "__main__":
    unittest.main()
