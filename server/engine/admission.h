// Admission control: how many commands and bytes may be in flight in this node, from a
// frontend's submission to its answer. Beyond that a command is refused at once, so that memory
// is bounded and a client learns of overload while its request is still cheap.
//
// Thread-safety: thread-safe.

#ifndef HOLDFAST_SERVER_ENGINE_ADMISSION_H_
#define HOLDFAST_SERVER_ENGINE_ADMISSION_H_

#include <atomic>
#include <cstdint>
#include <utility>

namespace holdfast {

class Admission {
 public:
  struct Limits {
    int64_t commands_max = 100'000;
    int64_t bytes_max = 128 << 20;
  };

  // What one command holds while it is in flight; gives it back when it goes.
  class Permit {
   public:
    Permit() = default;
    Permit(Admission* admission, int64_t bytes) : admission_(admission), bytes_(bytes) {}
    Permit(Permit&& o) noexcept
        : admission_(std::exchange(o.admission_, nullptr)), bytes_(o.bytes_) {}
    Permit& operator=(Permit&& o) noexcept {
      std::swap(admission_, o.admission_);
      std::swap(bytes_, o.bytes_);
      return *this;
    }
    ~Permit() {
      if (admission_ != nullptr) admission_->Release(bytes_);
    }
    explicit operator bool() const { return admission_ != nullptr; }

   private:
    Admission* admission_ = nullptr;
    int64_t bytes_ = 0;
  };

  explicit Admission(const Limits& limits) : limits_(limits) {}

  // An empty permit: a limit is reached, the command must be refused.
  Permit Admit(int64_t bytes) {
    const int64_t commands = commands_.fetch_add(1, std::memory_order_relaxed);
    const int64_t before = bytes_.fetch_add(bytes, std::memory_order_relaxed);
    if (commands >= limits_.commands_max || (before > 0 && before + bytes > limits_.bytes_max)) {
      Release(bytes);
      return Permit();
    }
    return Permit(this, bytes);
  }
  int64_t commands() const { return commands_.load(std::memory_order_relaxed); }
  int64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  void Release(int64_t bytes) {
    commands_.fetch_sub(1, std::memory_order_relaxed);
    bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  }

  const Limits limits_;
  std::atomic<int64_t> commands_{0};
  std::atomic<int64_t> bytes_{0};
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_ADMISSION_H_
