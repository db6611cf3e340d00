#include "proto/contract.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <cctype>
#include <set>
#include <string>
#include <vector>

namespace holdfast {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::MethodDescriptor;
using google::protobuf::ServiceDescriptor;
using google::protobuf::SourceLocation;

using Lines = std::vector<std::string>;

std::string TypeName(const FieldDescriptor& field) {
  if (field.is_map()) {
    const Descriptor& entry = *field.message_type();
    return "map<" + TypeName(*entry.map_key()) + "," + TypeName(*entry.map_value()) + ">";
  }
  if (field.type() == FieldDescriptor::TYPE_MESSAGE) return field.message_type()->full_name();
  if (field.type() == FieldDescriptor::TYPE_ENUM) return field.enum_type()->full_name();
  return field.type_name();
}

void AddMessage(const Descriptor& message, Lines* lines) {
  lines->push_back("message " + message.full_name());
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    std::string line = "field " + message.full_name() + " " + std::to_string(field.number()) + " ";
    if (field.is_repeated() && !field.is_map()) line += "repeated ";
    if (field.has_optional_keyword()) line += "optional ";
    line += TypeName(field) + " " + field.name();
    if (const auto* oneof = field.real_containing_oneof()) line += " oneof " + oneof->name();
    lines->push_back(line);
  }
  for (int i = 0; i < message.nested_type_count(); ++i) {
    if (!message.nested_type(i)->options().map_entry()) {
      AddMessage(*message.nested_type(i), lines);
    }
  }
}

void AddEnum(const EnumDescriptor& type, Lines* lines) {
  for (int i = 0; i < type.value_count(); ++i) {
    lines->push_back("value " + type.full_name() + " " + std::to_string(type.value(i)->number()) +
                     " " + type.value(i)->name());
  }
}

void AddMethod(const MethodDescriptor& method, Lines* lines) {
  lines->push_back("method " + method.full_name() + " " +
                   (method.client_streaming() ? "stream " : "") + method.input_type()->full_name() +
                   " -> " + (method.server_streaming() ? "stream " : "") +
                   method.output_type()->full_name());
}

// The comment in front of it, empty if there is none.
template <class D>
std::string CommentOf(const D& descriptor) {
  SourceLocation location;
  if (!descriptor.GetSourceLocation(&location)) return "";
  return location.leading_comments;
}

template <class D>
void CheckComment(const D& descriptor, Lines* breaches) {
  const std::string comment = CommentOf(descriptor);
  // " X.\n" is the shortest that says anything; a sentence ends in a full stop.
  if (comment.size() < 8) {
    breaches->push_back(descriptor.full_name() + ": has no comment");
  } else if (comment.find('.') == std::string::npos) {
    breaches->push_back(descriptor.full_name() + ": its comment is no sentence");
  }
}

bool IsLowerSnake(const std::string& name) {
  for (const char c : name) {
    if (!std::islower(static_cast<unsigned char>(c)) &&
        !std::isdigit(static_cast<unsigned char>(c)) && c != '_') {
      return false;
    }
  }
  return std::islower(static_cast<unsigned char>(name[0])) && name.back() != '_' &&
         name.find("__") == std::string::npos;
}

// JobState -> JOB_STATE_.
std::string ValuePrefix(const std::string& type) {
  std::string prefix;
  for (const char c : type) {
    if (std::isupper(static_cast<unsigned char>(c)) && !prefix.empty()) prefix += '_';
    prefix += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return prefix + "_";
}

void CheckMessage(const Descriptor& message, Lines* breaches) {
  CheckComment(message, breaches);
  std::set<int> numbers;
  int last = 0;
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    CheckComment(field, breaches);
    if (!IsLowerSnake(field.name())) {
      breaches->push_back(field.full_name() + ": is not lower_snake_case");
    }
    if (field.is_required()) breaches->push_back(field.full_name() + ": is required");
    numbers.insert(field.number());
    last = field.number() > last ? field.number() : last;
  }
  for (int number = 1; number < last; ++number) {
    if (numbers.count(number) == 0 && !message.IsReservedNumber(number)) {
      breaches->push_back(message.full_name() + ": number " + std::to_string(number) +
                          " is neither used nor reserved");
    }
  }
  for (int i = 0; i < message.real_oneof_decl_count(); ++i) {
    CheckComment(*message.oneof_decl(i), breaches);
  }
  for (int i = 0; i < message.nested_type_count(); ++i) {
    if (!message.nested_type(i)->options().map_entry()) {
      CheckMessage(*message.nested_type(i), breaches);
    }
  }
}

void CheckEnum(const EnumDescriptor& type, Lines* breaches) {
  CheckComment(type, breaches);
  const std::string prefix = ValuePrefix(type.name());
  if (type.value(0)->number() != 0 || type.value(0)->name() != prefix + "UNSPECIFIED") {
    breaches->push_back(type.full_name() + ": its zero is not " + prefix + "UNSPECIFIED");
  }
  for (int i = 0; i < type.value_count(); ++i) {
    CheckComment(*type.value(i), breaches);
    // The reasons travel as their names, so those have no prefix.
    if (type.name() != "ErrorReason" && type.value(i)->name().rfind(prefix, 0) != 0) {
      breaches->push_back(type.value(i)->full_name() + ": does not start with " + prefix);
    }
  }
}

void CheckService(const ServiceDescriptor& service, Lines* breaches) {
  CheckComment(service, breaches);
  for (int i = 0; i < service.method_count(); ++i) {
    const MethodDescriptor& method = *service.method(i);
    CheckComment(method, breaches);
    if (CommentOf(method).find("Idempotency:") == std::string::npos) {
      breaches->push_back(method.full_name() + ": its comment does not state Idempotency");
    }
  }
}

}  // namespace

Lines ContractLines(const FileDescriptor& file) {
  Lines lines;
  for (int i = 0; i < file.service_count(); ++i) {
    for (int j = 0; j < file.service(i)->method_count(); ++j) {
      AddMethod(*file.service(i)->method(j), &lines);
    }
  }
  for (int i = 0; i < file.message_type_count(); ++i) AddMessage(*file.message_type(i), &lines);
  for (int i = 0; i < file.enum_type_count(); ++i) AddEnum(*file.enum_type(i), &lines);
  return lines;
}

Lines RuleBreaches(const FileDescriptor& file) {
  Lines breaches;
  for (int i = 0; i < file.service_count(); ++i) CheckService(*file.service(i), &breaches);
  for (int i = 0; i < file.message_type_count(); ++i) {
    CheckMessage(*file.message_type(i), &breaches);
  }
  for (int i = 0; i < file.enum_type_count(); ++i) CheckEnum(*file.enum_type(i), &breaches);
  return breaches;
}

}  // namespace holdfast
