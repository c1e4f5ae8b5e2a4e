// A shared library that is loaded by whoever needs it first, instead of with the program.
//
// Memory:   once loaded it stays: libraries with threads or exit handlers do not bear to go.
// Threads:  load() and find() may run anywhere.
// Errors:   the code that load() was given (there is no such library, or none of its functions has
//           that name), with the given hint.
#pragma once

#include <string_view>

#include "base/result.h"

namespace haul {

class DynamicLibrary {
 public:
  // `name` and `hint` outlive the library; the name is one for dlopen(3).
  static Result<DynamicLibrary> load(const char* name, ErrorCode missing, std::string_view hint);

  // What the library calls `symbol`, whose type the caller answers for.
  template <typename Function>
  Status find(const char* symbol, Function*& function) const {
    function = reinterpret_cast<Function*>(HAUL_TRY(address_of(symbol)));
    return ok();
  }

 private:
  DynamicLibrary(const char* name, ErrorCode missing, std::string_view hint)
      : name_(name), missing_(missing), hint_(hint) {}
  Result<void*> address_of(const char* symbol) const;
  Error error() const;

  void* handle_ = nullptr;
  const char* name_;
  ErrorCode missing_;
  std::string_view hint_;
};

}  // namespace haul
