// espalier bench: how fast a model runs on this machine, and what share that is of the machine's
// limits.
#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/command.h"
#include "cli/number_list.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/step_bench.h"
#include "grammar/json_schema.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/device.h"

namespace espalier::cli {
namespace {

// The two kinds of schema whose masks matter: few tokens allowed at a time, and most of them.
constexpr const char* kNumbersSchema =
    R"({"type": "object", "properties": {"kind": {"enum": ["invoice", "receipt", "letter"]},
    "paid": {"type": "boolean"}, "day": {"type": "integer", "minimum": 1, "maximum": 31},
    "cents": {"type": "integer", "minimum": 0, "maximum": 999999}},
    "required": ["kind", "paid", "day", "cents"], "additionalProperties": false})";
constexpr const char* kStringsSchema =
    R"({"type": "object", "properties": {"title": {"type": "string", "maxLength": 60},
    "summary": {"type": "string", "maxLength": 400}},
    "required": ["title", "summary"], "additionalProperties": false})";

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class Bench final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("--model", model_.model,
                   "A model's name (see: espalier list) or the path of a .gguf file")
        ->type_name("M")
        ->capture_default_str();
    model_.declare_backend(app);
    add_integer(app, "--prefill", prefill_, 1, 1 << 20, "Tokens of the prompt that is timed [512]");
    add_integer(app, "--decode", decode_, 1, 1 << 20, "Tokens that each branch decodes [128]");
    add_text(app, "--batch", batches_, "N,...", "Branches that decode together [1,8,16,32]");
    add_text(app, "--depth", depths_, "N,...",
             "Tokens of the prompt that the branches share; multiples of 16 [0,512]");
    add_integer(app, "--repeat", repeat_, 1, 1000, "Runs, of which the median is shown [3]");
    app.add_flag("--masked", masked_,
                 "Decode also under two JSON Schemas: of numbers and enums, and of strings");
    app.add_flag("--json", json_, "Print one JSON object");
  }

  Result<int> run(Context& context) override {
    constexpr std::uint32_t kMostBatch = 1024;
    constexpr std::uint32_t kMostDepth = 1 << 20;
    const auto batches = parse_numbers(batches_.value_or("1,8,16,32"), 1, kMostBatch);
    if (!batches)
      return usage_error(context, "bench", "--batch takes numbers from 1 to 1024: 1,8,16");
    auto depths = parse_numbers(depths_.value_or("0,512"), 0, kMostDepth);
    if (!depths || std::any_of(depths->begin(), depths->end(),
                               [](std::uint32_t d) { return d % runtime::kPageTokens != 0; }))
      return usage_error(context, "bench", "--depth takes multiples of 16: 0,512");
    const auto prompt = static_cast<std::uint32_t>(prefill_.value_or(512));
    const auto tokens = static_cast<std::uint32_t>(decode_.value_or(128));
    const std::uint32_t deepest = *std::max_element(depths->begin(), depths->end());
    const std::uint32_t widest = *std::max_element(batches->begin(), batches->end());

    ESP_ASSIGN(const auto model, load_model(model_, context));
    if (std::max(prompt, deepest + tokens) > model->shape().context) {
      return fail(ErrorCode::kInvalid, "a text of " +
                                           std::to_string(std::max(prompt, deepest + tokens)) +
                                           " tokens is asked for; the model has positions for " +
                                           std::to_string(model->shape().context));
    }
    ESP_ASSIGN(runtime::BackendOptions on, model_.backend(context.system));
    on.kv_bytes =
        std::max(StepBench::pages(widest, deepest, tokens), StepBench::pages(0, prompt, 0)) *
        runtime::cpu::KvPool::page_bytes(model->shape(), on.kv_type);
    ESP_ASSIGN(const auto made, runtime::create_backend(model, on, context.system));
    if (!made.note.empty()) context.console.err() << "espalier: " + made.note + "\n";
    ESP_ASSIGN(limits_, runtime::measure_limits(made, *model, on, context.system));
    const std::uint64_t weights = limits_.weight_bytes;
    StepBench bench(*made.backend, context.system,
                    [&context] { return !context.interrupt.requested(); });
    report_ = Json{
        {"model", model->path()},
        {"device", made.device},
        {"arithmetic", limits_.arithmetic},
        {"threads", runtime::threads_of(on, context.system)},
        {"kv_type", runtime::kv_type_name(on.kv_type)},
        {"numerics", runtime::numerics_name(on.numerics)},
        {"calibration", on.fp8_calibration ? Json(on.fp8_calibration->name()) : Json()},
        {"tuning", made.backend->info().tuning},
        {"read_bytes_per_second", limits_.bytes_per_second},
        {limits_.multiplied + std::string("_products_per_second"), limits_.products_per_second},
        {"cases", Json::array()}};
    print_head(context.console);

    const double products = products_of_a_token(*model);
    ESP_ASSIGN(const double speed,
               timed(context, "prefill", [&] { return bench.prefill(prompt); }));
    // The head reads one row; the other rows go through the layers alone.
    const double of_prompt =
        products * prompt - (prompt - 1) * static_cast<double>(head_products(*model));
    add_case({{"name", "prefill"}, {"tokens", prompt}}, speed,
             of_bytes(speed / prompt * static_cast<double>(weights)),
             of_products(speed / prompt * of_prompt), context.console);

    std::map<std::string, grammar::GrammarRef> grammars{{"", nullptr}};
    if (masked_) {
      for (const auto& [name, schema] :
           {std::pair{"numbers", kNumbersSchema}, std::pair{"strings", kStringsSchema}}) {
        ESP_ASSIGN(grammars[name], grammar::compile_json_schema(model->tokenizer()->vocabulary(),
                                                                Json::parse(schema)));
      }
    }
    for (const auto& entry : grammars) {  // clang before 16 captures no structured binding
      const std::string& schema = entry.first;
      const grammar::GrammarRef& compiled = entry.second;
      for (const std::uint32_t depth : *depths) {
        for (const std::uint32_t batch : *batches) {
          for (const bool ahead : {false, true}) {
            if (ahead && !bench.goes_ahead()) continue;
            Json what{{"name", "decode"}, {"batch", batch}, {"depth", depth}};
            if (compiled != nullptr) what["schema"] = schema;
            if (ahead) what["ahead"] = true;
            ESP_ASSIGN(const double rate, timed(context, label(what), [&] {
                         return bench.decode({batch, depth, tokens, compiled, ahead});
                       }));
            const double steps = rate / batch;
            const std::uint32_t mean_length = tokens / 2;  // of what is decoded, while it grows
            const double read =
                static_cast<double>(weights + keys_values(*made.backend, depth) +
                                    batch * keys_values(*made.backend, mean_length));
            // With a mask the head reads what it must: how much is not known here.
            const bool whole = compiled == nullptr;
            add_case(std::move(what), rate, whole ? of_bytes(steps * read) : std::nullopt,
                     whole ? of_products(rate * products) : std::nullopt, context.console);
          }
        }
      }
    }
    if (json_) context.console.print_json(report_);
    return kDone;
  }

 private:
  // Where the most that the device can do was not measured: none.
  [[nodiscard]] std::optional<double> of_bytes(double rate) const {
    if (limits_.bytes_per_second == 0) return std::nullopt;
    return rate / limits_.bytes_per_second;
  }
  [[nodiscard]] std::optional<double> of_products(double rate) const {
    if (limits_.products_per_second == 0) return std::nullopt;
    return rate / limits_.products_per_second;
  }
  static std::uint64_t head_products(const runtime::Model& model) {
    const runtime::Tensor& head = model.weights().output;
    return head.rows * head.columns;
  }
  // Of so many tokens, in whole pages.
  static std::uint64_t keys_values(const runtime::Backend& backend, std::uint32_t tokens) {
    const std::uint64_t pages =
        (std::uint64_t{tokens} + runtime::kPageTokens - 1) / runtime::kPageTokens;
    return pages * backend.info().page_bytes;
  }
  static double products_of_a_token(const runtime::Model& model) {
    std::uint64_t out = head_products(model);
    for (const runtime::LayerWeights& it : model.weights().layers) {
      for (const runtime::Tensor* tensor :
           {&it.query, &it.key, &it.value, &it.attention_output, &it.gate, &it.up, &it.down})
        out += tensor->rows * tensor->columns;
    }
    return static_cast<double>(out);
  }
  static std::string label(const Json& what) {
    if (!what.contains("batch"))
      return what["name"].get<std::string>() + " " + what["tokens"].dump();
    return "decode, batch " + what["batch"].dump() + ", depth " + what["depth"].dump() +
           (what.contains("schema") ? ", " + what["schema"].get<std::string>() : "") +
           (what.contains("ahead") ? ", ahead" : "");
  }

  // The median of the runs, after one that is not counted.
  template <class Run>
  Result<double> timed(Context& context, const std::string& label, const Run& run) {
    const auto repeats = static_cast<std::uint64_t>(repeat_.value_or(3));
    std::vector<double> speeds;
    ProgressLine line(context.console, context.system);
    for (std::uint64_t i = 0; i <= repeats; ++i) {
      line.show(label, i, repeats + 1, std::to_string(i) + " of " + std::to_string(repeats + 1));
      ESP_ASSIGN(const double speed, run());
      if (i > 0) speeds.push_back(speed);
    }
    return median(std::move(speeds));
  }

  void print_head(Console& console) const {
    if (json_) return;
    char text[160];
    std::string head = report_["device"].get<std::string>() + ", " + limits_.arithmetic + ", " +
                       std::to_string(report_["threads"].get<unsigned>()) + " threads";
    if (limits_.bytes_per_second != 0) {
      std::snprintf(text, sizeof text, "; limits: reads %.1f GB/s", limits_.bytes_per_second / 1e9);
      head += text;
    }
    if (limits_.products_per_second != 0) {
      std::snprintf(text, sizeof text, ", %s products %.0f G/s", limits_.multiplied,
                    limits_.products_per_second / 1e9);
      head += text;
    }
    console.print_text(head);
    const auto tuning = report_["tuning"].get<std::string>();
    if (!tuning.empty()) console.print_text("sizes of work: " + tuning);
    std::snprintf(text, sizeof text, "%-38s %10s %8s %8s", "", "tokens/s", "memory", "compute");
    console.print_text(text);
  }

  void add_case(Json what, double speed, std::optional<double> memory,
                std::optional<double> compute, Console& console) {
    if (!json_) {
      const auto percent = [](const std::optional<double>& share) -> std::string {
        if (!share) return "-";
        char text[32];
        std::snprintf(text, sizeof text, "%.0f %%", 100 * *share);
        return text;
      };
      char text[160];
      std::snprintf(text, sizeof text, "%-38s %10.1f %8s %8s", label(what).c_str(), speed,
                    percent(memory).c_str(), percent(compute).c_str());
      console.print_text(text);
    }
    what["tokens_per_second"] = speed;
    if (memory) what["memory_share"] = *memory;
    if (compute) what["compute_share"] = *compute;
    report_["cases"].push_back(std::move(what));
  }

  ModelOptions model_;
  std::optional<std::int64_t> prefill_, decode_, repeat_;
  std::optional<std::string> batches_, depths_;
  bool masked_ = false;
  bool json_ = false;
  runtime::DeviceLimits limits_;
  Json report_;
};

}  // namespace

std::unique_ptr<Command> make_bench() { return std::make_unique<Bench>(); }

}  // namespace espalier::cli
