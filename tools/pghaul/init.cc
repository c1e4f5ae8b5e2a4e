#include "base/format.h"
#include "tools/pghaul/commands.h"
#include "tools/pghaul/json_output.h"
#include "tools/pghaul/quantity.h"

namespace haul::cli {

Result<int> run_init(Context& context) {
  const Settings& settings = *context.settings;
  repository::LocalInit init;
  init.path = HAUL_TRY(settings.required_path("repo"));
  init.owner = context.platform->repository_owner();
  if (const auto pages = HAUL_TRY(settings.number("chunk-pages", {1, UINT32_MAX}))) {
    init.parameters.chunk_pages = static_cast<std::uint32_t>(*pages);
  }
  if (const auto size = settings.value("pack-size")) {
    auto parsed = parse_size(*size);
    if (!parsed) {
      return std::move(parsed).take_error().with_context(settings.origin("pack-size"));
    }
    init.parameters.pack_size_bytes = *parsed;
  }
  context.subject = Subject::init;
  const repository::Repository made = HAUL_TRY(repository::init_local_repository(
      directory_opener(context), init, context.platform->random(), context.platform->clock()));
  if (context.output == Context::Output::json) {
    print_json(context, init_json(made));
  } else {
    print_summary(context, format("repository {} created in {}", to_string(made.id()), init.path));
  }
  return kDone;
}

}  // namespace haul::cli
