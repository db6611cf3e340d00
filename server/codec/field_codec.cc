#include "server/codec/field_codec.h"

#include "base/check.h"

namespace holdfast::field_codec {

void PutOptions(std::string* out, const QueueOptions& options, uint32_t fields) {
  CHECK_EQ(fields & ~uint32_t{kAllQueueOptionFields}, 0u);
  if ((fields & kFieldDefaultLease) != 0) Put(out, options.default_lease);
  if ((fields & kFieldRetry) != 0) {
    Put(out, uint64_t{options.retry.max_attempts});
    Put(out, options.retry.backoff_min);
    Put(out, options.retry.backoff_max);
    Put(out, uint64_t{options.retry.multiplier_percent});
  }
  if ((fields & kFieldTtl) != 0) Put(out, options.ttl);
  if ((fields & kFieldOnExpiry) != 0) PutEnum(out, options.on_expiry);
  if ((fields & kFieldMaxJobs) != 0) Put(out, options.max_jobs);
  if ((fields & kFieldMaxBytes) != 0) Put(out, options.max_bytes);
  if ((fields & kFieldMaxReserved) != 0) Put(out, options.max_reserved);
  if ((fields & kFieldDedupWindow) != 0) Put(out, options.dedup_window);
}

bool ReadOptions(ByteReader* in, uint32_t fields, QueueOptions* options) {
  if ((fields & ~uint32_t{kAllQueueOptionFields}) != 0) return false;
  RetryPolicy& retry = options->retry;
  const auto skips = [fields](uint32_t field) { return (fields & field) == 0; };
  return (skips(kFieldDefaultLease) || Read(in, &options->default_lease)) &&
         (skips(kFieldRetry) ||
          (Read(in, &retry.max_attempts) && Read(in, &retry.backoff_min) &&
           Read(in, &retry.backoff_max) && Read(in, &retry.multiplier_percent))) &&
         (skips(kFieldTtl) || Read(in, &options->ttl)) &&
         (skips(kFieldOnExpiry) || ReadEnum(in, ExpiryAction::kDelete, &options->on_expiry)) &&
         (skips(kFieldMaxJobs) || Read(in, &options->max_jobs)) &&
         (skips(kFieldMaxBytes) || Read(in, &options->max_bytes)) &&
         (skips(kFieldMaxReserved) || Read(in, &options->max_reserved)) &&
         (skips(kFieldDedupWindow) || Read(in, &options->dedup_window));
}

void PutSettings(std::string* out, const Settings& settings) {
  Put(out, settings.requests_max);
  Put(out, settings.sessions_max);
  Put(out, settings.session_outcomes_max);
  Put(out, settings.queues_max);
  Put(out, settings.idle_queue_linger);
}

bool ReadSettings(ByteReader* in, Settings* settings) {
  return Read(in, &settings->requests_max) && Read(in, &settings->sessions_max) &&
         Read(in, &settings->session_outcomes_max) && Read(in, &settings->queues_max) &&
         Read(in, &settings->idle_queue_linger);
}

}  // namespace holdfast::field_codec
