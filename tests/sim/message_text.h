#ifndef HOLDFAST_TESTS_SIM_MESSAGE_TEXT_H_
#define HOLDFAST_TESTS_SIM_MESSAGE_TEXT_H_
#include <string>
#include "absl/strings/str_cat.h"
#include "replication/raft/types.h"
namespace holdfast::sim {
inline std::string MessageText(const raft::Message& m) {
  static const char* const names[] = {"Hup","Beat","Prop","App","AppResp","Vote","VoteResp","Snap","Heartbeat","HeartbeatResp","Unreach","SnapStatus","CheckQuorum","TransferLeader","TimeoutNow","ReadIndex","ReadIndexResp","PreVote","PreVoteResp"};
  std::string text = absl::StrCat(names[static_cast<int>(m.type)], " ", m.from.value(), "->", m.to.value(), " term ", m.term.value(), " log ", m.log_term.value(), "/", m.index.value(), " commit ", m.commit.value());
  if (m.reject) absl::StrAppend(&text, " rejected, hint ", m.reject_hint.value());
  for (const raft::Entry& e : m.entries) absl::StrAppend(&text, " ", e.term.value(), "/", e.index.value());
  return text;
}
}  // namespace holdfast::sim
#endif
