// Writing and reading the command language; the rest of text.h is in text.cc.

#include <charconv>
#include <cstdlib>
#include <map>
#include <sstream>

#include "base/check.h"
#include "queue/testing/text.h"

namespace holdfast {
namespace {

// --- Writing.

std::string LeasesText(const LeaseRefs& leases) {
  std::ostringstream out;
  for (const LeaseRef& lease : leases) {
    out << " " << lease.job.value() << "/" << lease.token.value();
  }
  return out.str();
}

template <class Ids>
std::string IdsText(const Ids& ids) {
  std::ostringstream out;
  for (const JobId id : ids) out << " " << id.value();
  return out.str();
}

std::string If(bool given, const char* name, const std::string& value) {
  return given ? std::string(" ") + name + "=" + value : "";
}

std::string PastText(const JobPast& past) {
  std::string text = std::to_string(past.id.value()) + ":" +
                     DurationText(past.created - kTestOrigin) + ":" + DurationText(past.delay);
  for (const uint32_t count :
       {past.reserves, past.timeouts, past.releases, past.buries, past.kicks}) {
    text += ":" + std::to_string(count);
  }
  return text;
}

std::string SpecText(const JobSpec& spec) {
  const LogDuration none;
  return If(spec.priority != 0, "priority", std::to_string(spec.priority)) +
         If(spec.delay != none, "delay", DurationText(spec.delay)) +
         If(spec.lease != none, "lease", DurationText(spec.lease)) +
         If(spec.ttl != none, "ttl", DurationText(spec.ttl)) +
         If(!spec.dedup_key.empty(), "key", std::string(spec.dedup_key)) +
         If(spec.dedup_window != none, "window", DurationText(spec.dedup_window)) +
         If(spec.buried, "begins", "buried") +
         If(spec.past.has_value(), "past", PastText(spec.past.value_or(JobPast()))) +
         If(spec.payload_size_bytes != 0, "bytes", std::to_string(spec.payload_size_bytes)) +
         If(spec.payload_digest != 0, "digest", std::to_string(spec.payload_digest));
}

std::string Text(const EnqueueCommand& c) {
  std::string text = "enqueue " + std::string(c.queue);
  for (size_t i = 0; i < c.jobs.size(); ++i) text += (i == 0 ? "" : " ,") + SpecText(c.jobs[i]);
  return text;
}
std::string Text(const ReserveCommand& c) {
  std::string text = "reserve ";
  for (size_t i = 0; i < c.queues.size(); ++i) {
    text += (i == 0 ? "" : ",") + std::string(c.queues[i]);
  }
  return text + If(c.max != 1, "max", std::to_string(c.max)) +
         If(!c.holder.none(), "holder", HolderText(c.holder)) +
         If(c.lease != LogDuration(), "lease", DurationText(c.lease));
}
std::string Text(const ReserveJobCommand& c) {
  return "reserve-job " + std::to_string(c.job.value()) +
         If(!c.holder.none(), "holder", HolderText(c.holder)) +
         If(c.lease != LogDuration(), "lease", DurationText(c.lease));
}
std::string Text(const DeleteCommand& c) { return "delete" + LeasesText(c.leases); }
std::string Text(const DeleteJobCommand& c) {
  return "delete-job" + IdsText(c.jobs) + (c.reserved == ReservedJobs::kCancel ? " cancel" : "");
}
std::string Text(const ReleaseCommand& c) {
  return "release" + LeasesText(c.leases) + (c.mode == ReleaseMode::kFail ? " fail" : "") +
         If(c.priority.has_value(), "priority", std::to_string(c.priority.value_or(0))) +
         If(c.delay.has_value(), "delay", DurationText(c.delay.value_or(LogDuration())));
}
std::string Text(const TouchCommand& c) {
  return "touch" + LeasesText(c.leases) +
         If(c.lease != LogDuration(), "lease", DurationText(c.lease));
}
std::string Text(const BuryCommand& c) {
  return "bury" + LeasesText(c.leases) +
         If(c.priority.has_value(), "priority", std::to_string(c.priority.value_or(0)));
}
std::string Text(const ReturnUndeliveredCommand& c) { return "return" + LeasesText(c.leases); }
std::string Text(const KickCommand& c) {
  return "kick " + std::string(c.queue) + " bound=" + std::to_string(c.bound) +
         If(c.from != KickFrom::kBuriedElseDelayed, "from",
            c.from == KickFrom::kBuried ? "buried" : "delayed");
}
std::string Text(const KickJobsCommand& c) { return "kick-job" + IdsText(c.jobs); }
std::string Text(const PauseQueueCommand& c) {
  return "pause " + std::string(c.queue) + " for=" + DurationText(c.duration) +
         (c.existence == Existence::kCreate ? " create" : "");
}
std::string Text(const PurgeQueueCommand& c) {
  std::string states;
  for (int state = 0; state < kJobStates; ++state) {
    if ((c.states >> state & 1) == 0) continue;
    states += (states.empty() ? "" : ",") + std::string(StateText(static_cast<JobState>(state)));
  }
  return "purge " + std::string(c.queue) + If(c.states != 0xf, "states", states);
}
std::string Text(const PutQueueOptionsCommand& c) {
  static const std::map<std::string, uint32_t> bits = {{"default_lease", kFieldDefaultLease},
                                                       {"retry", kFieldRetry},
                                                       {"ttl", kFieldTtl},
                                                       {"on_expiry", kFieldOnExpiry},
                                                       {"max_jobs", kFieldMaxJobs},
                                                       {"max_bytes", kFieldMaxBytes},
                                                       {"max_reserved", kFieldMaxReserved},
                                                       {"dedup_window", kFieldDedupWindow}};
  std::string text = "options " + std::string(c.queue);
  for (const std::string& word : SplitWords(OptionsText(c.options))) {
    if ((c.fields & bits.at(word.substr(0, word.find('=')))) != 0) text += " " + word;
  }
  return text;
}
std::string Text(const DeleteQueueCommand& c) { return "delete-queue " + std::string(c.queue); }
std::string Text(const CloseHolderCommand& c) { return "close-holder " + HolderText(c.holder); }
std::string Text(const NodeLostCommand& c) {
  return "node-lost " + std::to_string(c.node.value()) +
         " incarnation=" + std::to_string(c.incarnation);
}
std::string Text(const ExpireCommand& c) {
  return "expire" + If(c.max != 1000, "max", std::to_string(c.max));
}
std::string Text(const OpenSessionCommand& c) {
  return "open-session idle=" + DurationText(c.idle_limit);
}
std::string Text(const CloseSessionCommand& c) {
  return "close-session " + std::to_string(c.session.value());
}
std::string Text(const PutSettingsCommand& c) {
  return "settings requests_max=" + std::to_string(c.settings.requests_max) +
         " sessions_max=" + std::to_string(c.settings.sessions_max) +
         " session_outcomes_max=" + std::to_string(c.settings.session_outcomes_max) +
         " queues_max=" + std::to_string(c.settings.queues_max) +
         " linger=" + DurationText(c.settings.idle_queue_linger);
}
std::string Text(const PutClusterRecordCommand& c) {
  return "cluster-record " + std::string(c.record) + " version=" + std::to_string(c.version);
}

// --- Reading.

// The words of one line: positional ones in order, then name=value and bare flags.
class Words {
 public:
  explicit Words(std::string_view line) {
    for (std::string& word : SplitWords(line)) {
      const size_t equals = word.find('=');
      if (equals == std::string::npos) {
        positional_.push_back(std::move(word));
      } else {
        named_[word.substr(0, equals)] = word.substr(equals + 1);
      }
    }
  }
  bool HasNext() const { return next_ < positional_.size(); }
  std::string Next() {
    if (HasNext()) return positional_[next_++];
    Fail("a word is missing");
    return "";
  }
  // True if the next positional word is `flag`, which is then taken.
  bool Flag(std::string_view flag) {
    if (!HasNext() || positional_[next_] != flag) return false;
    ++next_;
    return true;
  }
  std::optional<std::string> Named(const std::string& name) {
    const auto it = named_.find(name);
    if (it == named_.end()) return std::nullopt;
    std::string value = it->second;
    named_.erase(it);
    return value;
  }
  uint64_t ToNumber(const std::string& text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) Fail("not a number: " + text);
    return value;
  }
  LogDuration ToDuration(const std::string& text) {
    const std::optional<LogDuration> duration = ParseDuration(text);
    if (!duration.has_value()) Fail("not a duration: " + text);
    return duration.value_or(LogDuration());
  }
  uint64_t Number(const std::string& name, uint64_t otherwise) {
    const std::optional<std::string> text = Named(name);
    return text.has_value() ? ToNumber(*text) : otherwise;
  }
  std::optional<uint32_t> OptionalNumber(const std::string& name) {
    const std::optional<std::string> text = Named(name);
    if (!text.has_value()) return std::nullopt;
    return static_cast<uint32_t>(ToNumber(*text));
  }
  LogDuration Duration(const std::string& name) {
    return OptionalDuration(name).value_or(LogDuration());
  }
  std::optional<LogDuration> OptionalDuration(const std::string& name) {
    const std::optional<std::string> text = Named(name);
    if (!text.has_value()) return std::nullopt;
    return ToDuration(*text);
  }
  Holder ToHolder(const std::string& text) {
    if (text == "none") return Holder();
    const std::vector<std::string> parts = SplitWords(text, '/');
    if (parts.size() != 3) {
      Fail("not a holder: " + text);
      return Holder();
    }
    return {NodeId(ToNumber(parts[0])), ToNumber(parts[1]), ToNumber(parts[2])};
  }
  LeaseRefs Leases() {
    LeaseRefs leases;
    while (HasNext() && positional_[next_].find('/') != std::string::npos) {
      const std::vector<std::string> parts = SplitWords(Next(), '/');
      if (parts.size() != 2) {
        Fail("not a lease");
        return leases;
      }
      leases.push_back({JobId(ToNumber(parts[0])), LeaseToken(ToNumber(parts[1]))});
    }
    return leases;
  }
  template <class Ids>
  void TakeIds(Ids* ids) {
    while (HasNext() && isdigit(positional_[next_][0])) ids->push_back(JobId(ToNumber(Next())));
  }
  void Fail(const std::string& why) {
    if (error_.empty()) error_ = why;
  }
  // Empty if all was well and every word was taken.
  std::string Error() {
    if (HasNext()) Fail("what is " + positional_[next_] + "?");
    if (!named_.empty()) Fail("what is " + named_.begin()->first + "?");
    return error_;
  }

 private:
  std::vector<std::string> positional_;
  std::map<std::string, std::string> named_;
  size_t next_ = 0;
  std::string error_;
};

// ID:CREATED:DELAY:RESERVES:TIMEOUTS:RELEASES:BURIES:KICKS
JobPast ReadPast(const std::string& text, Words* words) {
  const std::vector<std::string> parts = SplitWords(text, ':');
  if (parts.size() != 8) {
    words->Fail("not a past: " + text);
    return JobPast();
  }
  const auto count = [&](size_t at) { return static_cast<uint32_t>(words->ToNumber(parts[at])); };
  return {JobId(words->ToNumber(parts[0])),
          kTestOrigin + words->ToDuration(parts[1]),
          words->ToDuration(parts[2]),
          count(3),
          count(4),
          count(5),
          count(6),
          count(7)};
}

void ReadSpecs(std::string_view text, EnqueueCommand* command, Words* errors) {
  for (size_t comma = 0; comma != std::string_view::npos;) {
    comma = text.find(',');
    Words words(text.substr(0, comma));
    if (comma != std::string_view::npos) text.remove_prefix(comma + 1);
    JobSpec spec;
    spec.priority = static_cast<uint32_t>(words.Number("priority", 0));
    spec.delay = words.Duration("delay");
    spec.lease = words.Duration("lease");
    spec.ttl = words.Duration("ttl");
    spec.dedup_key = Intern(words.Named("key").value_or(""));
    spec.dedup_window = words.Duration("window");
    spec.buried = words.Named("begins") == "buried";
    if (const auto past = words.Named("past")) spec.past = ReadPast(*past, &words);
    spec.payload_size_bytes = static_cast<uint32_t>(words.Number("bytes", 0));
    spec.payload_digest = words.Number("digest", 0);
    uint64_t times = 1;
    if (words.HasNext()) {
      const std::string repeat = words.Next();
      if (repeat[0] != 'x') words.Fail("what is " + repeat + "?");
      times = words.ToNumber(repeat.substr(1));
    }
    if (const std::string error = words.Error(); !error.empty()) errors->Fail(error);
    for (uint64_t i = 0; i < times; ++i) command->jobs.push_back(spec);
  }
}

QueueOptions ReadOptions(Words* words, uint32_t* fields) {
  QueueOptions options;
  *fields = 0;
  const auto given = [&](const char* name, QueueOptionField field) {
    std::optional<std::string> text = words->Named(name);
    if (text.has_value()) *fields |= field;
    return text;
  };
  if (const auto text = given("default_lease", kFieldDefaultLease)) {
    options.default_lease = words->ToDuration(*text);
  }
  if (const auto text = given("retry", kFieldRetry)) {
    const std::vector<std::string> parts = SplitWords(*text, ':');
    if (parts.size() != 4) words->Fail("retry=attempts:min:max:percent");
    options.retry.max_attempts = static_cast<uint32_t>(words->ToNumber(parts.at(0)));
    options.retry.backoff_min = words->ToDuration(parts.at(1));
    options.retry.backoff_max = words->ToDuration(parts.at(2));
    options.retry.multiplier_percent = static_cast<uint32_t>(words->ToNumber(parts.at(3)));
  }
  if (const auto text = given("ttl", kFieldTtl)) options.ttl = words->ToDuration(*text);
  if (const auto text = given("on_expiry", kFieldOnExpiry)) {
    options.on_expiry = *text == "delete" ? ExpiryAction::kDelete : ExpiryAction::kBury;
  }
  if (const auto text = given("max_jobs", kFieldMaxJobs)) {
    options.max_jobs = words->ToNumber(*text);
  }
  if (const auto text = given("max_bytes", kFieldMaxBytes)) {
    options.max_bytes = words->ToNumber(*text);
  }
  if (const auto text = given("max_reserved", kFieldMaxReserved)) {
    options.max_reserved = words->ToNumber(*text);
  }
  if (const auto text = given("dedup_window", kFieldDedupWindow)) {
    options.dedup_window = words->ToDuration(*text);
  }
  return options;
}

uint8_t ReadStates(Words* words) {
  const std::optional<std::string> names = words->Named("states");
  if (!names.has_value()) return 0xf;
  uint8_t states = 0;
  for (const std::string& name : SplitWords(*names, ',')) {
    for (int state = 0; state < kJobStates; ++state) {
      if (name == StateText(static_cast<JobState>(state))) {
        states = static_cast<uint8_t>(states | 1 << state);
      }
    }
  }
  if (states == 0) words->Fail("states=ready,delayed,reserved,buried");
  return states;
}

ReserveCommand ReadReserve(Words* words) {
  ReserveCommand c;
  for (const std::string& name : SplitWords(words->Next(), ',')) c.queues.push_back(Intern(name));
  c.max = static_cast<uint32_t>(words->Number("max", 1));
  c.holder = words->ToHolder(words->Named("holder").value_or("none"));
  c.lease = words->Duration("lease");
  return c;
}

ReserveJobCommand ReadReserveJob(Words* words) {
  ReserveJobCommand c;
  c.job = JobId(words->ToNumber(words->Next()));
  c.holder = words->ToHolder(words->Named("holder").value_or("none"));
  c.lease = words->Duration("lease");
  return c;
}

ReleaseCommand ReadRelease(Words* words) {
  ReleaseCommand c;
  c.leases = words->Leases();
  if (words->Flag("fail")) c.mode = ReleaseMode::kFail;
  c.priority = words->OptionalNumber("priority");
  c.delay = words->OptionalDuration("delay");
  return c;
}

KickCommand ReadKick(Words* words) {
  KickCommand c;
  c.queue = Intern(words->Next());
  c.bound = static_cast<uint32_t>(words->Number("bound", 1));
  const std::string from = words->Named("from").value_or("");
  if (from == "buried") c.from = KickFrom::kBuried;
  if (from == "delayed") c.from = KickFrom::kDelayed;
  return c;
}

PauseQueueCommand ReadPause(Words* words) {
  PauseQueueCommand c;
  c.queue = Intern(words->Next());
  c.duration = words->Duration("for");
  if (words->Flag("create")) c.existence = Existence::kCreate;
  return c;
}

Settings ReadSettings(Words* words) {
  Settings settings;
  settings.requests_max = words->Number("requests_max", settings.requests_max);
  settings.sessions_max = words->Number("sessions_max", settings.sessions_max);
  settings.session_outcomes_max =
      words->Number("session_outcomes_max", settings.session_outcomes_max);
  settings.queues_max = words->Number("queues_max", settings.queues_max);
  settings.idle_queue_linger =
      words->OptionalDuration("linger").value_or(settings.idle_queue_linger);
  return settings;
}

// Commands that name leases, ids or nothing but a few numbers.
std::optional<CommandBody> ReadJobCommand(const std::string& verb, Words* words) {
  if (verb == "reserve") return ReadReserve(words);
  if (verb == "reserve-job") return ReadReserveJob(words);
  if (verb == "delete") return DeleteCommand{words->Leases()};
  if (verb == "delete-job") {
    DeleteJobCommand c;
    words->TakeIds(&c.jobs);
    if (words->Flag("cancel")) c.reserved = ReservedJobs::kCancel;
    return c;
  }
  if (verb == "release") return ReadRelease(words);
  if (verb == "touch") {
    TouchCommand c;
    c.leases = words->Leases();
    c.lease = words->Duration("lease");
    return c;
  }
  if (verb == "bury") {
    BuryCommand c;
    c.leases = words->Leases();
    c.priority = words->OptionalNumber("priority");
    return c;
  }
  if (verb == "return") return ReturnUndeliveredCommand{words->Leases()};
  if (verb == "kick-job") {
    KickJobsCommand c;
    words->TakeIds(&c.jobs);
    return c;
  }
  return std::nullopt;
}

std::optional<CommandBody> ReadQueueCommand(const std::string& verb, Words* words) {
  if (verb == "kick") return ReadKick(words);
  if (verb == "pause") return ReadPause(words);
  if (verb == "purge") {
    PurgeQueueCommand c;
    c.queue = Intern(words->Next());
    c.states = ReadStates(words);
    return c;
  }
  if (verb == "options") {
    PutQueueOptionsCommand c;
    c.queue = Intern(words->Next());
    c.options = ReadOptions(words, &c.fields);
    return c;
  }
  if (verb == "delete-queue") return DeleteQueueCommand{Intern(words->Next())};
  return std::nullopt;
}

std::optional<CommandBody> ReadShardCommand(const std::string& verb, Words* words) {
  if (verb == "close-holder") return CloseHolderCommand{words->ToHolder(words->Next())};
  if (verb == "node-lost") {
    NodeLostCommand c;
    c.node = NodeId(words->ToNumber(words->Next()));
    c.incarnation = words->Number("incarnation", 0);
    return c;
  }
  if (verb == "expire") {
    return ExpireCommand{static_cast<uint32_t>(words->Number("max", 1000))};
  }
  if (verb == "open-session") {
    OpenSessionCommand c;
    c.idle_limit = words->OptionalDuration("idle").value_or(c.idle_limit);
    return c;
  }
  if (verb == "close-session") {
    return CloseSessionCommand{SessionId(words->ToNumber(words->Next()))};
  }
  if (verb == "settings") return PutSettingsCommand{ReadSettings(words)};
  if (verb == "cluster-record") {
    PutClusterRecordCommand c;
    c.record = Intern(words->Next());
    c.version = words->Number("version", 0);
    return c;
  }
  return std::nullopt;
}

RequestIdentity ReadIdentity(Words* words) {
  RequestIdentity request;
  request.session = SessionId(words->Number("session", 0));
  request.sequence = words->Number("sequence", 0);
  request.floor = words->Number("floor", 0);
  request.digest_low = words->Number("request", 0);
  request.digest_high = words->Number("request_high", 0);
  request.lifetime = words->OptionalDuration("lifetime").value_or(kRequestLifetimeMax);
  return request;
}

}  // namespace

std::string CommandText(const Command& command) {
  std::string text = std::visit([](const auto& body) { return Text(body); }, command.body);
  const RequestIdentity& request = command.request;
  std::string identity;
  if (request.has_session()) {
    identity = " session=" + std::to_string(request.session.value()) +
               " sequence=" + std::to_string(request.sequence) +
               " floor=" + std::to_string(request.floor);
  } else if (request.has_digest()) {
    identity =
        " request=" + std::to_string(request.digest_low) +
        If(request.digest_high != 0, "request_high", std::to_string(request.digest_high)) +
        If(request.lifetime != kRequestLifetimeMax, "lifetime", DurationText(request.lifetime));
  }
  if (identity.empty()) return text;
  return text + " ;" + identity;
}

std::optional<Command> ParseCommand(std::string_view line, std::string* error) {
  const size_t semicolon = line.find(';');
  Words identity(semicolon == std::string_view::npos ? "" : line.substr(semicolon + 1));
  line = line.substr(0, semicolon);
  Command command;
  command.request = ReadIdentity(&identity);
  Words words(line);
  const std::string verb = words.HasNext() ? words.Next() : "";
  std::optional<CommandBody> body;
  if (verb == "enqueue") {
    EnqueueCommand enqueue;
    const std::string queue = words.Next();
    enqueue.queue = Intern(queue);
    words = Words("");
    const size_t end = line.find(queue, verb.size()) + queue.size();
    ReadSpecs(line.substr(end), &enqueue, &words);
    body = enqueue;
  }
  if (!body.has_value()) body = ReadJobCommand(verb, &words);
  if (!body.has_value()) body = ReadQueueCommand(verb, &words);
  if (!body.has_value()) body = ReadShardCommand(verb, &words);
  *error = body.has_value() ? words.Error() + identity.Error() : "no such command: " + verb;
  if (!error->empty()) return std::nullopt;
  command.body = *body;
  return command;
}

}  // namespace holdfast
