// The public contract as text, and the rules that it keeps: reads the descriptor set of our
// .proto files (with comments) and says what a client depends on.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_PROTO_CONTRACT_H_
#define HOLDFAST_PROTO_CONTRACT_H_

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

namespace holdfast {

// One line for everything that a change could break for somebody: each message, field (number,
// type, label, name, oneof), enum value and method. In the order of the files.
std::vector<std::string> ContractLines(const google::protobuf::FileDescriptor& file);

// Breaches of our rules, each with its place: something without a comment, a name that is not as
// it should be, an enum without a zero value that says UNSPECIFIED, a method whose comment does
// not speak of idempotency, a number that is neither used nor reserved. Empty: none.
std::vector<std::string> RuleBreaches(const google::protobuf::FileDescriptor& file);

}  // namespace holdfast

#endif  // HOLDFAST_PROTO_CONTRACT_H_
