#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/binlog/binlog.h"
#include "client/cli/batch_enqueuer.h"
#include "client/cli/binlog_source.h"
#include "client/cli/context.h"
#include "client/cli/progress.h"

namespace holdfast {
namespace {

struct Arguments {
  std::string directory;
  bool dry_run = false;
};

// What is in the binlog.
struct Found {
  uint64_t ready = 0;
  uint64_t delayed = 0;
  uint64_t buried = 0;
  const BinlogJob* largest = nullptr;
};

Found CountJobs(const Binlog& binlog) {
  Found found;
  const absl::Time now = absl::Now();
  for (const auto& [id, job] : binlog.jobs()) {
    if (job.state == BinlogState::kBuried) {
      ++found.buried;
    } else if (job.DelayLeft(now) > absl::ZeroDuration()) {
      ++found.delayed;
    } else {
      ++found.ready;
    }
    const bool larger =
        found.largest == nullptr || job.body_size_bytes > found.largest->body_size_bytes;
    if (larger) found.largest = &job;
  }
  return found;
}

nlohmann::json ToJson(const Binlog& binlog, const Found& found) {
  nlohmann::json damages = nlohmann::json::array();
  for (const BinlogDamage& damage : binlog.damages()) {
    damages.push_back({{"file", damage.file},
                       {"offset_bytes", damage.offset_bytes},
                       {"problem", damage.problem}});
  }
  return {{"jobs", binlog.jobs().size()},
          {"ready", found.ready},
          {"delayed", found.delayed},
          {"buried", found.buried},
          {"damages", damages}};
}

class Import {
 public:
  Import(CliContext* context, const Arguments& arguments)
      : context_(context), arguments_(arguments) {}

  void Run() {
    absl::StatusOr<std::unique_ptr<Binlog>> opened = Binlog::Open(arguments_.directory);
    if (!opened.ok()) return FailHere(opened.status());
    binlog_ = *std::move(opened);
    if (binlog_->files().empty()) {
      return context_->Misuse(absl::NotFoundError(
          absl::StrCat(arguments_.directory, " holds no binlog (binlog.1, ...) of beanstalkd")));
    }
    if (!Read()) return;
    if (!arguments_.dry_run) {
      if (!FitsTheServer()) return;
      Enqueue();
    }
    if (context_->json()) context_->PrintJson(json_);
  }

 private:
  // An error of this machine, not of the server.
  void FailHere(const absl::Status& status) {
    if (absl::IsNotFound(status)) return context_->Misuse(status);
    std::fprintf(stderr, "holdfast: %s\n", std::string(status.message()).c_str());
    context_->SetExit(kExitRefused);
  }

  bool Read() {
    Progress progress("bytes read", binlog_->size_bytes());
    const absl::Status status =
        binlog_->Read([&progress](uint64_t bytes) { progress.Show(bytes); });
    progress.End();
    if (!status.ok()) {
      FailHere(status);
      return false;
    }
    for (const BinlogDamage& damage : binlog_->damages()) {
      std::fprintf(stderr, "holdfast: damaged, what follows in the file is not read: %s\n",
                   damage.Text().c_str());
      context_->SetExit(kExitRefused);
    }
    found_ = CountJobs(*binlog_);
    json_ = ToJson(*binlog_, found_);
    if (!context_->json()) {
      std::printf("%zu jobs in %s: %llu ready, %llu delayed, %llu buried\n", binlog_->jobs().size(),
                  arguments_.directory.c_str(), static_cast<unsigned long long>(found_.ready),
                  static_cast<unsigned long long>(found_.delayed),
                  static_cast<unsigned long long>(found_.buried));
    }
    return true;
  }

  // Before anything is done, so that an import is not found out to be impossible half way.
  bool FitsTheServer() {
    const absl::StatusOr<v1::NodeInfo> info = context_->client().GetNodeInfo();
    if (!info.ok()) {
      context_->Fail(info.status());
      return false;
    }
    if (found_.largest == nullptr || found_.largest->body_size_bytes <= info->body_bytes_max()) {
      return true;
    }
    FailHere(absl::FailedPreconditionError(
        absl::StrCat("job ", found_.largest->id, " has ", found_.largest->body_size_bytes,
                     " bytes, and the server takes ", info->body_bytes_max(),
                     " (holdfast serve --max-body-bytes); nothing was imported")));
    return false;
  }

  void Enqueue() {
    BinlogSource source(binlog_.get());
    Progress progress("jobs imported", binlog_->jobs().size());
    BatchEnqueuer enqueuer(
        &context_->client(),
        [&source](v1::EnqueueStreamRequest* message) { return source.Next(message); },
        [&] { progress.Show(enqueuer.answered()); });
    const absl::Status status = enqueuer.Run();
    progress.End();
    json_["imported"] = enqueuer.enqueued();
    json_["imported_before"] = enqueuer.deduplicated();
    json_["refused"] = enqueuer.refused();
    json_["shortened"] = source.shortened();
    if (!context_->json()) {
      std::printf("%llu imported, %llu imported before, %llu refused\n",
                  static_cast<unsigned long long>(enqueuer.enqueued()),
                  static_cast<unsigned long long>(enqueuer.deduplicated()),
                  static_cast<unsigned long long>(enqueuer.refused()));
    }
    if (source.shortened() > 0) {
      std::fprintf(stderr,
                   "holdfast: %llu jobs had a ttr above 30 days or a delay above 3650 days; "
                   "they have that now\n",
                   static_cast<unsigned long long>(source.shortened()));
    }
    if (enqueuer.refused() > 0) context_->FailItem("a job was refused", enqueuer.first_refusal());
    if (!status.ok()) context_->Fail(status);
  }

  CliContext* const context_;
  const Arguments arguments_;
  std::unique_ptr<Binlog> binlog_;
  Found found_;
  nlohmann::json json_;
};

}  // namespace

void AddImportCommand(CLI::App* app, CliContext* context) {
  CLI::App* command = app->add_subcommand(
      "import-binlog", "Adds the jobs of a beanstalkd's binlog; safe to run again");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("directory", arguments->directory, "What beanstalkd had as -b")->required();
  command->add_flag("--dry-run", arguments->dry_run, "Only reads, and says what there is");
  command->callback([context, arguments] { Import(context, *arguments).Run(); });
}

}  // namespace holdfast
