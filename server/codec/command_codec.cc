#include "server/codec/command_codec.h"

#include <type_traits>
#include <utility>
#include <variant>

#include "base/check.h"
#include "base/coding.h"
#include "server/codec/field_codec.h"

namespace holdfast {
namespace {

using field_codec::Put;
using field_codec::PutEnum;
using field_codec::Read;
using field_codec::ReadCount;
using field_codec::ReadEnum;
using field_codec::ReadFlags;
using field_codec::WriteFixed64;
using field_codec::WriteVarint;

// A kind is its body's place in the variant, plus one.
static_assert(std::variant_size_v<CommandBody> ==
              static_cast<size_t>(CommandKind::kPutClusterRecord));
static_assert(std::is_same_v<std::variant_alternative_t<0, CommandBody>, EnqueueCommand>);
static_assert(std::is_same_v<std::variant_alternative_t<13, CommandBody>, PutQueueOptionsCommand>);

enum RequestFlag : uint8_t { kHasSession = 1, kHasDigest = 2, kHasLifetime = 4 };
enum JobFlag : uint8_t {
  kHasPriority = 1,
  kHasDelay = 2,
  kHasLease = 4,
  kHasTtl = 8,
  kHasDedupKey = 16,
  kHasMore = 32,
  kAllJobFlags = 63,
};
// In a second byte, where the first says so.
enum MoreJobFlag : uint8_t {
  kHasDedupWindow = 1,
  kBeginsBuried = 2,
  kHasPast = 4,
  kAllMoreJobFlags = 7,
};
enum ChangeFlag : uint8_t { kSetsPriority = 1, kSetsDelay = 2 };
constexpr uint8_t kAllStates = 0xf;
// Kind, flags.
constexpr size_t kHeadBytesMin = 2;
// Flags, size, digest.
constexpr size_t kJobBytesMin = 1 + 1 + 8;

void PutHead(std::string* out, CommandKind kind, const RequestIdentity& request) {
  const bool has_lifetime = request.has_digest() && request.lifetime != kRequestLifetimeMax;
  PutEnum(out, kind);
  PutFixed8(out, static_cast<uint8_t>((request.has_session() ? kHasSession : 0) |
                                      (request.has_digest() ? kHasDigest : 0) |
                                      (has_lifetime ? kHasLifetime : 0)));
  if (request.has_session()) {
    Put(out, request.session);
    Put(out, request.sequence);
    Put(out, request.floor);
  }
  if (request.has_digest()) {
    PutFixed64(out, request.digest_high);
    PutFixed64(out, request.digest_low);
  }
  if (has_lifetime) Put(out, request.lifetime);
}

bool ReadHead(ByteReader* in, uint8_t* kind, RequestIdentity* request) {
  uint8_t flags = 0;
  if (!in->Fixed8(kind) || !ReadFlags(in, kHasSession | kHasDigest | kHasLifetime, &flags)) {
    return false;
  }
  if ((flags & kHasSession) != 0) {
    if (!Read(in, &request->session) || !Read(in, &request->sequence) ||
        !Read(in, &request->floor) || !request->has_session()) {
      return false;
    }
  }
  if ((flags & kHasDigest) != 0) {
    if (!in->Fixed64(&request->digest_high) || !in->Fixed64(&request->digest_low) ||
        !request->has_digest()) {
      return false;
    }
  }
  if ((flags & kHasLifetime) != 0) {
    if (!request->has_digest() || !Read(in, &request->lifetime) ||
        request->lifetime >= kRequestLifetimeMax) {
      return false;
    }
  }
  return true;
}

// --- Lists.
void PutLeases(std::string* out, const LeaseRefs& leases) {
  CHECK_LE(leases.size(), kItemsPerCommandMax);
  Put(out, leases.size());
  for (const LeaseRef& lease : leases) {
    Put(out, lease.job);
    Put(out, lease.token);
  }
}
bool ReadLeases(ByteReader* in, LeaseRefs* leases) {
  uint64_t count = 0;
  if (!ReadCount(in, kItemsPerCommandMax, 2, &count)) return false;
  leases->resize(count);
  for (LeaseRef& lease : *leases) {
    if (!Read(in, &lease.job) || !Read(in, &lease.token)) return false;
  }
  return true;
}

void PutJobs(std::string* out, const absl::InlinedVector<JobId, 1>& jobs) {
  CHECK_LE(jobs.size(), kItemsPerCommandMax);
  Put(out, jobs.size());
  for (const JobId job : jobs) Put(out, job);
}
bool ReadJobs(ByteReader* in, absl::InlinedVector<JobId, 1>* jobs) {
  uint64_t count = 0;
  if (!ReadCount(in, kItemsPerCommandMax, 1, &count)) return false;
  jobs->resize(count);
  for (JobId& job : *jobs) {
    if (!Read(in, &job)) return false;
  }
  return true;
}

// --- Bodies. An enqueue's is EnqueueEncoder's and ReadEnqueue's.
void PutBody(std::string* out, const ReserveCommand& body) {
  CHECK_LE(body.queues.size(), kQueuesPerReserveMax);
  Put(out, uint64_t{body.max});
  Put(out, body.holder);
  Put(out, body.lease);
  Put(out, body.queues.size());
  for (const std::string_view queue : body.queues) PutBytes(out, queue);
}
bool ReadBody(ByteReader* in, ReserveCommand* body) {
  uint64_t count = 0;
  if (!Read(in, &body->max) || !Read(in, &body->holder) || !Read(in, &body->lease) ||
      !ReadCount(in, kQueuesPerReserveMax, 1, &count)) {
    return false;
  }
  body->queues.resize(count);
  for (std::string_view& queue : body->queues) {
    if (!in->Bytes(&queue)) return false;
  }
  return true;
}

void PutBody(std::string* out, const ReserveJobCommand& body) {
  Put(out, body.job);
  Put(out, body.holder);
  Put(out, body.lease);
}
bool ReadBody(ByteReader* in, ReserveJobCommand* body) {
  return Read(in, &body->job) && Read(in, &body->holder) && Read(in, &body->lease);
}

void PutBody(std::string* out, const DeleteCommand& body) { PutLeases(out, body.leases); }
bool ReadBody(ByteReader* in, DeleteCommand* body) { return ReadLeases(in, &body->leases); }

void PutBody(std::string* out, const DeleteJobCommand& body) {
  PutEnum(out, body.reserved);
  PutJobs(out, body.jobs);
}
bool ReadBody(ByteReader* in, DeleteJobCommand* body) {
  return ReadEnum(in, ReservedJobs::kCancel, &body->reserved) && ReadJobs(in, &body->jobs);
}

void PutBody(std::string* out, const ReleaseCommand& body) {
  PutEnum(out, body.mode);
  PutFixed8(out, static_cast<uint8_t>((body.priority ? kSetsPriority : 0) |
                                      (body.delay ? kSetsDelay : 0)));
  if (body.priority) Put(out, uint64_t{*body.priority});
  if (body.delay) Put(out, *body.delay);
  PutLeases(out, body.leases);
}
bool ReadBody(ByteReader* in, ReleaseCommand* body) {
  uint8_t flags = 0;
  return ReadEnum(in, ReleaseMode::kFail, &body->mode) &&
         ReadFlags(in, kSetsPriority | kSetsDelay, &flags) &&
         ((flags & kSetsPriority) == 0 || Read(in, &body->priority.emplace())) &&
         ((flags & kSetsDelay) == 0 || Read(in, &body->delay.emplace())) &&
         ReadLeases(in, &body->leases);
}

void PutBody(std::string* out, const TouchCommand& body) {
  Put(out, body.lease);
  PutLeases(out, body.leases);
}
bool ReadBody(ByteReader* in, TouchCommand* body) {
  return Read(in, &body->lease) && ReadLeases(in, &body->leases);
}

void PutBody(std::string* out, const BuryCommand& body) {
  PutFixed8(out, body.priority ? kSetsPriority : 0);
  if (body.priority) Put(out, uint64_t{*body.priority});
  PutLeases(out, body.leases);
}
bool ReadBody(ByteReader* in, BuryCommand* body) {
  uint8_t flags = 0;
  return ReadFlags(in, kSetsPriority, &flags) &&
         ((flags & kSetsPriority) == 0 || Read(in, &body->priority.emplace())) &&
         ReadLeases(in, &body->leases);
}

void PutBody(std::string* out, const ReturnUndeliveredCommand& body) {
  PutLeases(out, body.leases);
}
bool ReadBody(ByteReader* in, ReturnUndeliveredCommand* body) {
  return ReadLeases(in, &body->leases);
}

void PutBody(std::string* out, const KickCommand& body) {
  PutBytes(out, body.queue);
  Put(out, uint64_t{body.bound});
  PutEnum(out, body.from);
}
bool ReadBody(ByteReader* in, KickCommand* body) {
  return in->Bytes(&body->queue) && Read(in, &body->bound) &&
         ReadEnum(in, KickFrom::kDelayed, &body->from);
}

void PutBody(std::string* out, const KickJobsCommand& body) { PutJobs(out, body.jobs); }
bool ReadBody(ByteReader* in, KickJobsCommand* body) { return ReadJobs(in, &body->jobs); }

void PutBody(std::string* out, const PauseQueueCommand& body) {
  PutBytes(out, body.queue);
  Put(out, body.duration);
  PutEnum(out, body.existence);
}
bool ReadBody(ByteReader* in, PauseQueueCommand* body) {
  return in->Bytes(&body->queue) && Read(in, &body->duration) &&
         ReadEnum(in, Existence::kCreate, &body->existence);
}

void PutBody(std::string* out, const PurgeQueueCommand& body) {
  CHECK_LE(body.states, kAllStates);
  PutBytes(out, body.queue);
  PutFixed8(out, body.states);
}
bool ReadBody(ByteReader* in, PurgeQueueCommand* body) {
  return in->Bytes(&body->queue) && ReadFlags(in, kAllStates, &body->states);
}

void PutBody(std::string* out, const PutQueueOptionsCommand& body) {
  PutBytes(out, body.queue);
  Put(out, uint64_t{body.fields});
  field_codec::PutOptions(out, body.options, body.fields);
}
bool ReadBody(ByteReader* in, PutQueueOptionsCommand* body) {
  return in->Bytes(&body->queue) && Read(in, &body->fields) &&
         field_codec::ReadOptions(in, body->fields, &body->options);
}

void PutBody(std::string* out, const DeleteQueueCommand& body) { PutBytes(out, body.queue); }
bool ReadBody(ByteReader* in, DeleteQueueCommand* body) { return in->Bytes(&body->queue); }

void PutBody(std::string* out, const CloseHolderCommand& body) { Put(out, body.holder); }
bool ReadBody(ByteReader* in, CloseHolderCommand* body) { return Read(in, &body->holder); }

void PutBody(std::string* out, const NodeLostCommand& body) {
  Put(out, body.node);
  Put(out, body.incarnation);
}
bool ReadBody(ByteReader* in, NodeLostCommand* body) {
  return Read(in, &body->node) && Read(in, &body->incarnation);
}

void PutBody(std::string* out, const ExpireCommand& body) { Put(out, uint64_t{body.max}); }
bool ReadBody(ByteReader* in, ExpireCommand* body) { return Read(in, &body->max); }

void PutBody(std::string* out, const OpenSessionCommand& body) { Put(out, body.idle_limit); }
bool ReadBody(ByteReader* in, OpenSessionCommand* body) { return Read(in, &body->idle_limit); }

void PutBody(std::string* out, const CloseSessionCommand& body) { Put(out, body.session); }
bool ReadBody(ByteReader* in, CloseSessionCommand* body) { return Read(in, &body->session); }

void PutBody(std::string* out, const PutSettingsCommand& body) {
  field_codec::PutSettings(out, body.settings);
}
bool ReadBody(ByteReader* in, PutSettingsCommand* body) {
  return field_codec::ReadSettings(in, &body->settings);
}

void PutBody(std::string* out, const PutClusterRecordCommand& body) {
  CHECK_LE(body.record.size(), kClusterRecordBytesMax);
  Put(out, body.version);
  PutBytes(out, body.record);
}
bool ReadBody(ByteReader* in, PutClusterRecordCommand* body) {
  return Read(in, &body->version) && in->Bytes(&body->record) &&
         body->record.size() <= kClusterRecordBytesMax;
}

// --- Enqueue.
void PutMore(std::string* out, uint8_t more, const JobSpec& job) {
  PutFixed8(out, more);
  if ((more & kHasDedupWindow) != 0) Put(out, job.dedup_window);
  if ((more & kHasPast) == 0) return;
  const JobPast& past = *job.past;
  Put(out, past.id);
  Put(out, past.created);
  Put(out, past.delay);
  for (const uint32_t count :
       {past.reserves, past.timeouts, past.releases, past.buries, past.kicks}) {
    Put(out, uint64_t{count});
  }
}
bool ReadPast(ByteReader* in, JobPast* past) {
  return Read(in, &past->id) && Read(in, &past->created) && Read(in, &past->delay) &&
         Read(in, &past->reserves) && Read(in, &past->timeouts) && Read(in, &past->releases) &&
         Read(in, &past->buries) && Read(in, &past->kicks);
}
bool ReadMore(ByteReader* in, JobSpec* job) {
  uint8_t more = 0;
  if (!ReadFlags(in, kAllMoreJobFlags, &more) || more == 0) return false;
  job->buried = (more & kBeginsBuried) != 0;
  return ((more & kHasDedupWindow) == 0 || Read(in, &job->dedup_window)) &&
         ((more & kHasPast) == 0 || ReadPast(in, &job->past.emplace()));
}

bool ReadJob(ByteReader* in, JobSpec* job, std::string_view* payload) {
  uint8_t flags = 0;
  return ReadFlags(in, kAllJobFlags, &flags) &&
         ((flags & kHasPriority) == 0 || Read(in, &job->priority)) &&
         ((flags & kHasDelay) == 0 || Read(in, &job->delay)) &&
         ((flags & kHasLease) == 0 || Read(in, &job->lease)) &&
         ((flags & kHasTtl) == 0 || Read(in, &job->ttl)) &&
         ((flags & kHasDedupKey) == 0 || in->Bytes(&job->dedup_key)) &&
         ((flags & kHasMore) == 0 || ReadMore(in, job)) && Read(in, &job->payload_size_bytes) &&
         in->Fixed64(&job->payload_digest) && in->Skip(job->payload_size_bytes, payload);
}

bool ReadEnqueue(ByteReader* in, EnqueueCommand* body,
                 absl::InlinedVector<std::string_view, 1>* payloads) {
  uint8_t low = 0;
  uint8_t high = 0;
  if (!in->Bytes(&body->queue) || !in->Fixed8(&low) || !in->Fixed8(&high)) return false;
  const size_t count = low | static_cast<size_t>(high) << 8;
  if (count > kItemsPerCommandMax || count > in->remaining() / kJobBytesMin) return false;
  body->jobs.resize(count);
  payloads->resize(count);
  for (size_t i = 0; i < count; ++i) {
    if (!ReadJob(in, &body->jobs[i], &(*payloads)[i])) return false;
  }
  return true;
}

template <class Body>
bool ReadInto(ByteReader* in, CommandBody* body) {
  return ReadBody(in, &body->emplace<Body>());
}

using BodyReader = bool (*)(ByteReader*, CommandBody*);

template <size_t... kIndex>
bool ReadBodyOf(size_t index, ByteReader* in, CommandBody* body, std::index_sequence<kIndex...>) {
  // Alternative 0 is the enqueue.
  static constexpr BodyReader kReaders[] = {
      &ReadInto<std::variant_alternative_t<kIndex + 1, CommandBody>>...};
  return kReaders[index - 1](in, body);
}

}  // namespace

bool HasRequestIdentity(std::string_view command) {
  CHECK_GE(command.size(), kHeadBytesMin);
  return command[1] != 0;
}

void AppendWithSession(std::string* out, std::string_view command, const RequestIdentity& request) {
  CHECK(!HasRequestIdentity(command));
  CHECK(request.has_session() && !request.has_digest());
  PutHead(out, static_cast<CommandKind>(command[0]), request);
  out->append(command.substr(kHeadBytesMin));
}

EnqueueEncoder::EnqueueEncoder(const RequestIdentity& request, std::string_view queue,
                               size_t bytes_hint) {
  constexpr size_t kHeadBytesMax = 2 + 30 + 16 + 10 + 10 + 2;
  bytes_.reserve(kHeadBytesMax + queue.size() + bytes_hint);
  PutHead(&bytes_, CommandKind::kEnqueue, request);
  PutBytes(&bytes_, queue);
  count_offset_ = bytes_.size();
  bytes_.append(2, '\0');
}

void EnqueueEncoder::BeginJob(const JobSpec& spec, size_t payload_size) {
  CHECK_LT(jobs_, kItemsPerCommandMax);
  ++jobs_;
  CHECK_LE(payload_size, kPayloadBytesMax);
  char head[1 + 5 * field_codec::kVarintBytesMax];
  char* p = head + 1;
  uint8_t flags = 0;
  const auto field = [&](JobFlag flag, uint64_t v) {
    if (v == 0) return;
    flags |= flag;
    p = WriteVarint(p, v);
  };
  field(kHasPriority, spec.priority);
  field(kHasDelay, static_cast<uint64_t>(spec.delay.micros()));
  field(kHasLease, static_cast<uint64_t>(spec.lease.micros()));
  field(kHasTtl, static_cast<uint64_t>(spec.ttl.micros()));
  const auto more = static_cast<uint8_t>(
      (spec.dedup_window == LogDuration() ? 0 : kHasDedupWindow) |
      (spec.buried ? kBeginsBuried : 0) | (spec.past.has_value() ? kHasPast : 0));
  if (!spec.dedup_key.empty()) flags |= kHasDedupKey;
  if (more != 0) flags |= kHasMore;
  head[0] = static_cast<char>(flags);
  if ((flags & (kHasDedupKey | kHasMore)) == 0) {
    p = WriteVarint(p, payload_size);
    bytes_.append(head, static_cast<size_t>(p - head));
  } else {
    bytes_.append(head, static_cast<size_t>(p - head));
    if (!spec.dedup_key.empty()) PutBytes(&bytes_, spec.dedup_key);
    if (more != 0) PutMore(&bytes_, more, spec);
    PutVarint(&bytes_, payload_size);
  }
}

void EnqueueEncoder::Add(const JobSpec& spec, const PayloadView& payload) {
  const size_t size = PayloadSize(payload);
  BeginJob(spec, size);
  const size_t digest_offset = bytes_.size();
  bytes_.append(8, '\0');
  AppendPayload(&bytes_, payload);
  const size_t payload_offset = digest_offset + 8;
  CHECK_EQ(bytes_.size() - payload_offset, size);
  WriteFixed64(&bytes_[digest_offset],
               PayloadDigest(std::string_view(bytes_).substr(payload_offset)));
}

void EnqueueEncoder::AddEncoded(const JobSpec& spec, std::string_view payload) {
  AddEncoded(spec, payload, PayloadDigest(payload));
}

void EnqueueEncoder::AddEncoded(const JobSpec& spec, std::string_view payload, uint64_t digest) {
  BeginJob(spec, payload.size());
  PutFixed64(&bytes_, digest);
  bytes_.append(payload);
}

std::string EnqueueEncoder::Finish() && {
  bytes_[count_offset_] = static_cast<char>(jobs_ & 0xff);
  bytes_[count_offset_ + 1] = static_cast<char>(jobs_ >> 8);
  return std::move(bytes_);
}

std::string EncodeCommand(const Command& command, absl::Span<const std::string_view> payloads) {
  if (const auto* enqueue = std::get_if<EnqueueCommand>(&command.body)) {
    CHECK_EQ(enqueue->jobs.size(), payloads.size());
    size_t bytes = 0;
    for (const std::string_view payload : payloads) bytes += payload.size();
    EnqueueEncoder encoder(command.request, enqueue->queue, bytes + 32 * payloads.size());
    for (size_t i = 0; i < payloads.size(); ++i) {
      const JobSpec& job = enqueue->jobs[i];
      CHECK_EQ(job.payload_size_bytes, payloads[i].size());
      encoder.AddEncoded(job, payloads[i], job.payload_digest);
    }
    return std::move(encoder).Finish();
  }
  CHECK(payloads.empty());
  std::string out;
  PutHead(&out, static_cast<CommandKind>(command.body.index() + 1), command.request);
  std::visit(
      [&out](const auto& body) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(body)>, EnqueueCommand>) {
          PutBody(&out, body);
        }
      },
      command.body);
  return out;
}

absl::Status DecodeCommand(std::string_view bytes, DecodedCommand* out) {
  ByteReader in(bytes);
  uint8_t kind = 0;
  out->command.request = RequestIdentity();
  out->payloads.clear();
  bool ok = ReadHead(&in, &kind, &out->command.request);
  if (ok && kind == static_cast<uint8_t>(CommandKind::kEnqueue)) {
    ok = ReadEnqueue(&in, &out->command.body.emplace<EnqueueCommand>(), &out->payloads);
  } else if (ok) {
    constexpr size_t kKinds = std::variant_size_v<CommandBody>;
    ok = kind >= 1 && kind <= kKinds &&
         ReadBodyOf(kind - 1, &in, &out->command.body, std::make_index_sequence<kKinds - 1>());
  }
  if (ok && in.Done()) return absl::OkStatus();
  return absl::DataLossError("command of kind " + std::to_string(kind) + ", " +
                             std::to_string(bytes.size()) + " bytes: malformed at byte " +
                             std::to_string(bytes.size() - in.remaining()));
}

absl::StatusOr<DecodedCommand> DecodeCommand(std::string_view bytes) {
  absl::StatusOr<DecodedCommand> decoded(absl::in_place);
  if (absl::Status status = DecodeCommand(bytes, &*decoded); !status.ok()) return status;
  return decoded;
}

}  // namespace holdfast
