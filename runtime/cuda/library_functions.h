// Functions of a library that is looked for when the program runs, so that builds need none.
#pragma once

#include <dlfcn.h>

#include <string>

namespace espalier::runtime::cuda {

/// Finds functions by name; then why_not() says whether the library can be used. It stays loaded
/// for good where it can, since whoever has a function may call it at any time.
class LibraryFunctions {
 public:
  explicit LibraryFunctions(const std::string& library)
      : handle_(dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ != nullptr) return;
    const char* why = dlerror();
    unusable_ = std::string(" cannot be loaded: ") + (why == nullptr ? "unknown" : why);
  }

  /// nullptr where there is none.
  template <class Function>
  void find(Function& to, const char* name) {
    if (handle_ == nullptr) return;
    to = reinterpret_cast<Function>(dlsym(handle_, name));
    if (to == nullptr) unusable_ += (unusable_.empty() ? " has no " : ", ") + std::string(name);
  }

  /// Empty where all was found; else what goes behind the library's name: " cannot be loaded: ...",
  /// " has no f, g". To be asked once, at the end: a library that lacks something is unloaded.
  std::string why_not() {
    if (handle_ != nullptr && !unusable_.empty()) dlclose(handle_);
    return unusable_;
  }

 private:
  void* handle_;
  std::string unusable_;
};

}  // namespace espalier::runtime::cuda
