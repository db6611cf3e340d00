// writer ROOT SCRIPT: makes the calls that a script names, under ROOT, one line each, for the
// tests of the power-cut library. It knows nothing of that library.
//
//   write F OFFSET COUNT C | append F COUNT C | truncate F SIZE | allocate F OFFSET COUNT
//   punch F OFFSET COUNT | sync F | fsync F | dsync F OFFSET COUNT C (write with O_DSYNC)
//   close F | rename A B | unlink F | link A B | mkdir D | rmdir D | syncdir D
//   stdio F COUNT C (fopen "w") | copy A B | map F | kill (SIGKILL to itself)
//   fails CALL... (the call must fail; prints errno's name)

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>

namespace {

std::string root;
std::map<std::string, int> open_files;

int Descriptor(const std::string& name) {
  const auto found = open_files.find(name);
  if (found != open_files.end()) return found->second;
  const int fd = open((root + "/" + name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd >= 0) open_files[name] = fd;
  return fd;
}

bool WriteAt(int fd, int64_t offset, size_t count, char c) {
  const std::string bytes(count, c);
  return pwrite(fd, bytes.data(), count, offset) == static_cast<ssize_t>(count);
}

bool Append(const std::string& name, size_t count, char c) {
  const int fd = Descriptor(name);
  if (fd < 0 || lseek(fd, 0, SEEK_END) < 0) return false;
  const std::string bytes(count, c);
  return write(fd, bytes.data(), count) == static_cast<ssize_t>(count);
}

bool WriteStdio(const std::string& path, size_t count, char c) {
  FILE* const file = fopen(path.c_str(), "w");
  if (file == nullptr) return false;
  const std::string bytes(count, c);
  const bool written = fwrite(bytes.data(), 1, count, file) == count;
  return fclose(file) == 0 && written;
}

bool SyncDirectory(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = fd >= 0 && fsync(fd) == 0;
  if (fd >= 0) close(fd);
  return synced;
}

bool WriteThrough(const std::string& path, int64_t offset, size_t count, char c) {
  const int fd = open(path.c_str(), O_WRONLY | O_DSYNC | O_CLOEXEC);
  const bool written = fd >= 0 && WriteAt(fd, offset, count, c);
  if (fd >= 0) close(fd);
  return written;
}

bool Copy(const std::string& from, const std::string& to) {
  std::ifstream source(from, std::ios::binary);
  std::ofstream target(to, std::ios::binary);
  target << source.rdbuf();
  return target.flush().good();
}

bool ChangeName(const std::string& call, std::istringstream& words) {
  std::string a, b;
  words >> a >> b;
  const std::string path = root + "/" + a;
  if (call == "rename") return rename(path.c_str(), (root + "/" + b).c_str()) == 0;
  if (call == "link") return link(path.c_str(), (root + "/" + b).c_str()) == 0;
  if (call == "copy") return Copy(path, root + "/" + b);
  if (call == "unlink") return unlink(path.c_str()) == 0;
  if (call == "mkdir") return mkdir(path.c_str(), 0755) == 0;
  if (call == "rmdir") return rmdir(path.c_str()) == 0;
  if (call == "syncdir") return SyncDirectory(path);
  std::cerr << "unknown call " << call << "\n";
  std::exit(2);
}

bool ChangeFile(const std::string& call, std::istringstream& words) {
  std::string name;
  int64_t offset = 0;
  int64_t count = 0;
  char c = 0;
  words >> name;
  if (call == "append" || call == "stdio") {
    words >> count >> c;
    return call == "append" ? Append(name, static_cast<size_t>(count), c)
                            : WriteStdio(root + "/" + name, static_cast<size_t>(count), c);
  }
  words >> offset >> count >> c;
  if (call == "dsync") {
    return WriteThrough(root + "/" + name, offset, static_cast<size_t>(count), c);
  }
  const int fd = Descriptor(name);
  if (fd < 0) return false;
  if (call == "write") return WriteAt(fd, offset, static_cast<size_t>(count), c);
  if (call == "truncate") return ftruncate(fd, offset) == 0;
  if (call == "allocate") return (errno = posix_fallocate(fd, offset, count)) == 0;
  if (call == "punch") {
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, count) == 0;
  }
  if (call == "sync") return fdatasync(fd) == 0;
  if (call == "fsync") return fsync(fd) == 0;
  if (call == "close") return open_files.erase(name) == 1 && close(fd) == 0;
  if (call == "map") {
    return mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED;
  }
  std::exit(2);
}

bool Call(const std::string& call, std::istringstream& words) {
  constexpr const char* kNameCalls[] = {"rename", "link",  "copy",   "unlink",
                                        "mkdir",  "rmdir", "syncdir"};
  for (const char* name : kNameCalls) {
    if (call == name) return ChangeName(call, words);
  }
  return ChangeFile(call, words);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  root = argv[1];
  std::ifstream script(argv[2]);
  for (std::string line; std::getline(script, line);) {
    std::istringstream words(line);
    std::string call;
    if (!(words >> call)) continue;
    if (call == "kill") raise(SIGKILL);
    const bool must_fail = call == "fails";
    if (must_fail) words >> call;
    errno = 0;
    const bool done = Call(call, words);
    if (done == must_fail) {
      std::cerr << line << ": " << strerror(errno) << "\n";
      return 1;
    }
    if (must_fail) std::cout << strerrorname_np(errno) << std::endl;  // before a SIGKILL
  }
  return 0;
}
