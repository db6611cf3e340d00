#include "server/frontend/beanstalk/tube_table.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace holdfast::beanstalk {
namespace {

using Names = std::vector<std::string>;

TEST(TubeTable, ATubeIsThereAsLongAsSomebodyRefersToIt) {
  TubeTable table;
  EXPECT_FALSE(table.Find("a").has_value());
  TubeTable::Ref first = table.Get("a");
  TubeTable::Ref second = table.Get("a");
  EXPECT_EQ(first, second);
  ++first->watchers;
  EXPECT_EQ(table.Find("a")->watchers, 1u);
  first.reset();
  EXPECT_TRUE(table.Find("a").has_value());
  second.reset();
  EXPECT_FALSE(table.Find("a").has_value());
  EXPECT_EQ(table.Get("a")->watchers, 0u) << "a new one";
}

TEST(TubeTable, NamesAreInTheOrderInWhichTheyCame) {
  TubeTable table;
  const TubeTable::Ref b = table.Get("b");
  TubeTable::Ref a = table.Get("a");
  EXPECT_EQ(table.Names(), (Names{"default", "b", "a"}));
  a.reset();
  const TubeTable::Ref c = table.Get("c");
  EXPECT_EQ(table.Names(), (Names{"default", "b", "c"}));
}

TEST(TubeTable, DefaultIsAlwaysThere) {
  TubeTable table;
  table.Get("default").reset();
  EXPECT_TRUE(table.Find("default").has_value());
  EXPECT_EQ(table.Names(), (Names{"default"}));
}

}  // namespace
}  // namespace holdfast::beanstalk
