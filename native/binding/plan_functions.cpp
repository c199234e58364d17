#include <napi.h>

#include <string>

#include "base/error.h"
#include "binding/core_options.h"
#include "binding/functions.h"
#include "binding/options.h"
#include "plan/memory_plan.h"

namespace ajet::binding {
namespace {

constexpr const char* op = "planMemory";

const char* name_of(MemoryPhase phase) {
  switch (phase) {
    case MemoryPhase::rollout: return "rollout";
    case MemoryPhase::update: return "update";
    case MemoryPhase::always: break;
  }
  return "always";
}

MemoryDemand read_demand(Options& options) {
  constexpr int64_t max_bytes = 1LL << 52;
  MemoryDemand demand;
  demand.engine = read_engine_options(op, options.value("engine"));
  demand.budget = static_cast<size_t>(options.integer("budgetBytes", 0, 0, max_bytes));
  if (options.flag("fillBudget", false)) demand.engine.kv_bytes = 0;
  const Napi::Value trainer = options.value("trainer");
  if (!trainer.IsUndefined()) demand.trainer = read_trainer_options(op, trainer);
  return demand;
}

Napi::Array entries_to_js(Napi::Env env, const MemoryPlan& plan) {
  const Napi::Array out = Napi::Array::New(env, plan.entries.size());
  for (uint32_t i = 0; i < plan.entries.size(); ++i) {
    const PlannedMemory& entry = plan.entries[i];
    const Napi::Object made = Napi::Object::New(env);
    made.Set("name", entry.name);
    made.Set("detail", entry.detail);
    made.Set("phase", name_of(entry.phase));
    made.Set("place", entry.place == MemoryPlace::device ? "device" : "host");
    made.Set("bytes", static_cast<double>(entry.bytes));
    out.Set(i, made);
  }
  return out;
}

}  // namespace

// (configJson, MemoryPlanOptions) => NativeMemoryPlan
Napi::Value plan_memory(const Napi::CallbackInfo& info) {
  if (!info[0].IsString()) fail(ErrorCode::invalid_argument, "[planMemory] Expected a string for `config`");
  const ModelConfig model = parse_model_config(info[0].As<Napi::String>().Utf8Value());
  Options options(op, info[1]);
  const auto format = storage_format(read_load_options(op, options.value("load")));
  const MemoryDemand demand = read_demand(options);
  options.finish();
  const MemoryPlan plan = ajet::plan_memory(model, *format, demand);
  const Napi::Object out = Napi::Object::New(info.Env());
  out.Set("entries", entries_to_js(info.Env(), plan));
  out.Set("kvBytes", static_cast<double>(plan.kv_bytes));
  out.Set("peakBytes", static_cast<double>(plan.peak()));
  return out;
}

}  // namespace ajet::binding
