// powercut_restore ROOT JOURNAL [--seed N] [--keep-random]: see restore.h.

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "tests/support/powercut/restore.h"

int main(int argc, char** argv) {
  std::vector<std::string> paths;
  holdfast::powercut::RestoreOptions options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--seed" && i + 1 < argc) {
      options.seed = std::strtoull(argv[++i], nullptr, 10);
    } else if (argument == "--keep-random") {
      options.keep = holdfast::powercut::Keep::kRandomPart;
    } else {
      paths.push_back(argument);
    }
  }
  if (paths.size() != 2) {
    std::cerr << "usage: powercut_restore ROOT JOURNAL [--seed N] [--keep-random]\n";
    return 2;
  }
  const auto report = holdfast::powercut::Restore(paths[0], paths[1], options);
  if (!report.ok()) {
    std::cerr << report.status() << "\n";
    return 1;
  }
  std::cout << report->ToString() << "\n";
  return 0;
}
