// CHECK: an assertion that is always on.
//
// A failed CHECK is a bug of ours, never bad input: it prints file, line, the condition and the
// values, and aborts. Pure: usable in queue/ and replication/raft/.

#ifndef HOLDFAST_BASE_CHECK_H_
#define HOLDFAST_BASE_CHECK_H_

#include <sstream>
#include <string>
#include <type_traits>

namespace holdfast::check_internal {

[[noreturn]] void Fail(const char* file, int line, const std::string& what);

template <class T>
concept HasValue = requires(const T& t) {
  t.value();
};
template <class T>
concept HasMicros = requires(const T& t) {
  t.micros();
};
template <class T>
concept Streamable = requires(std::ostringstream& s, const T& t) {
  s << t;
};

template <class T>
void Print(std::ostringstream& out, const T& t) {
  if constexpr (std::is_enum_v<T>) {
    out << static_cast<long long>(t);
  } else if constexpr (HasMicros<T>) {
    out << t.micros() << "us";
  } else if constexpr (HasValue<T>) {
    out << t.value();
  } else if constexpr (Streamable<T>) {
    out << t;
  } else {
    out << "?";
  }
}

template <class A, class B>
[[noreturn]] void FailOp(const char* file, int line, const char* expression, const A& a,
                         const B& b) {
  std::ostringstream out;
  out << expression << " (";
  Print(out, a);
  out << " vs. ";
  Print(out, b);
  out << ")";
  Fail(file, line, out.str());
}

}  // namespace holdfast::check_internal

#define HOLDFAST_CHECK_OP(op, a, b)                                                                \
  do {                                                                                             \
    const auto& check_a = (a);                                                                     \
    const auto& check_b = (b);                                                                     \
    if (__builtin_expect(!(check_a op check_b), 0)) {                                              \
      ::holdfast::check_internal::FailOp(__FILE__, __LINE__, #a " " #op " " #b, check_a, check_b); \
    }                                                                                              \
  } while (false)

#define CHECK(condition)                                                \
  do {                                                                  \
    if (__builtin_expect(!(condition), 0)) {                            \
      ::holdfast::check_internal::Fail(__FILE__, __LINE__, #condition); \
    }                                                                   \
  } while (false)
#define CHECK_EQ(a, b) HOLDFAST_CHECK_OP(==, a, b)
#define CHECK_NE(a, b) HOLDFAST_CHECK_OP(!=, a, b)
#define CHECK_LT(a, b) HOLDFAST_CHECK_OP(<, a, b)
#define CHECK_LE(a, b) HOLDFAST_CHECK_OP(<=, a, b)
#define CHECK_GT(a, b) HOLDFAST_CHECK_OP(>, a, b)
#define CHECK_GE(a, b) HOLDFAST_CHECK_OP(>=, a, b)

#endif  // HOLDFAST_BASE_CHECK_H_
