// Durations as protobuf carries them.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_CLIENT_DURATION_H_
#define HOLDFAST_CLIENT_DURATION_H_

#include <cstdint>

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"

namespace holdfast {

// To the nanosecond, rounded towards zero. REQUIRES: finite.
inline google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration proto;
  proto.set_seconds(absl::ToInt64Seconds(duration));
  proto.set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(duration - absl::Seconds(proto.seconds()))));
  return proto;
}

inline absl::Duration FromProto(const google::protobuf::Duration& proto) {
  return absl::Seconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_DURATION_H_
