// fmt's own code, compiled here as fmt's library does it: distributions bring that as a shared
// library, which would bring the shared C++ library into programs that are linked without it.

#include <fmt/format-inl.h>

FMT_BEGIN_NAMESPACE
namespace detail {

// The header declares these to be elsewhere: here.
template FMT_API auto thousands_sep_impl(locale_ref) -> thousands_sep_result<char>;
template FMT_API auto decimal_point_impl(locale_ref) -> char;

}  // namespace detail
FMT_END_NAMESPACE
