#include "base/crc32c.h"

#include <string>

#include "base/prng.h"
#include "gtest/gtest.h"

namespace holdfast {
namespace {

// RFC 3720 appendix B.4 and the check value of the CRC catalogue.
TEST(Crc32c, GivesThePublishedValues) {
  std::string rising(32, 0);
  std::string falling(32, 0);
  for (int i = 0; i < 32; ++i) {
    rising[i] = static_cast<char>(i);
    falling[i] = static_cast<char>(31 - i);
  }
  const struct {
    std::string bytes;
    uint32_t crc;
  } cases[] = {{"", 0},
               {"123456789", 0xe3069283},
               {std::string(32, '\0'), 0x8a9136aa},
               {std::string(32, '\xff'), 0x62a8ab43},
               {rising, 0x46dd794e},
               {falling, 0x113fdb5c}};
  for (const auto& c : cases) {
    EXPECT_EQ(Crc32c(c.bytes), c.crc);
    EXPECT_EQ(ExtendCrc32cPortable(0, c.bytes), c.crc);
  }
}

TEST(Crc32c, BothWaysAgreeOnEverySizeAndAlignment) {
  Prng prng(1);
  std::string bytes(20'000, 0);
  for (char& c : bytes) c = static_cast<char>(prng.Next());
  for (int i = 0; i < 2'000; ++i) {
    const size_t from = prng.Below(64);
    const size_t size = i < 1'000 ? i : prng.Below(bytes.size() - from);
    const std::string_view view = std::string_view(bytes).substr(from, size);
    const auto start = static_cast<uint32_t>(prng.Next());
    ASSERT_EQ(ExtendCrc32c(start, view), ExtendCrc32cPortable(start, view)) << size;
  }
}

TEST(Crc32c, ExtendingByPartsEqualsTheWhole) {
  Prng prng(2);
  std::string bytes(10'000, 0);
  for (char& c : bytes) c = static_cast<char>(prng.Next());
  const std::string_view view = bytes;
  for (int i = 0; i < 200; ++i) {
    const size_t cut = prng.Below(bytes.size() + 1);
    EXPECT_EQ(ExtendCrc32c(Crc32c(view.substr(0, cut)), view.substr(cut)), Crc32c(view));
  }
}

}  // namespace
}  // namespace holdfast
