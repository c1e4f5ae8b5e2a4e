#include "base/dynamic_library.h"

#include <dlfcn.h>

#include <string>

#include "base/format.h"

namespace haul {

Result<DynamicLibrary> DynamicLibrary::load(const char* name, ErrorCode missing,
                                            std::string_view hint) {
  DynamicLibrary library(name, missing, hint);
  library.handle_ = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (library.handle_ == nullptr) return library.error();
  return library;
}

Result<void*> DynamicLibrary::address_of(const char* symbol) const {
  void* address = ::dlsym(handle_, symbol);
  if (address == nullptr) return error();
  return address;
}

Error DynamicLibrary::error() const {
  const char* why = ::dlerror();
  return {missing_, format("cannot load {}: {}", name_, why == nullptr ? "unknown reason" : why),
          std::string(hint_)};
}

}  // namespace haul
