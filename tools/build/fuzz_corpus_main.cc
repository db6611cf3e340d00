// Runs a fuzz target over its committed corpus: files, and directories with files, named as
// arguments. Each input is also run cut short at every length up to 1 KiB, since a cut is the
// commonest damage. Without an input it fails, so that a lost corpus is noticed.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t kPrefixSizeMax = 1024;

// Runs one input from exactly sized memory, so that a sanitizer sees a read past its end.
void RunBytes(const std::vector<uint8_t>& bytes, size_t size) {
  const std::vector<uint8_t> exact(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

bool RunFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    std::fprintf(stderr, "cannot read %s\n", path.c_str());
    return false;
  }
  std::printf("running %s\n", path.c_str());
  std::fflush(stdout);
  const std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(in), {}};
  for (size_t size = 0; size < std::min(bytes.size(), kPrefixSizeMax); ++size) {
    RunBytes(bytes, size);
  }
  RunBytes(bytes, bytes.size());
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  size_t inputs = 0;
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) {
      if (!RunFile(argv[i])) return 1;
      ++inputs;
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (entry.is_directory()) continue;
      if (!RunFile(entry.path())) return 1;
      ++inputs;
    }
  }
  std::printf("%zu inputs\n", inputs);
  return inputs > 0 ? 0 : 1;
}
