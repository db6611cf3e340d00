// Hash and equality for hash maps with std::string keys that are looked up by std::string_view
// without making a string: absl::flat_hash_map<std::string, V, StringHash, StringEqual>.
// (Debian's Abseil has a string_view type of its own, which its default hash wants.) Pure.

#ifndef HOLDFAST_BASE_STRING_HASH_H_
#define HOLDFAST_BASE_STRING_HASH_H_

#include <cstddef>
#include <functional>
#include <string_view>

namespace holdfast {

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
};
using StringEqual = std::equal_to<>;

}  // namespace holdfast

#endif  // HOLDFAST_BASE_STRING_HASH_H_
