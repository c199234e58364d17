// The export table.
#include <napi.h>

#include "binding/addon_data.h"
#include "binding/errors.h"
#include "binding/functions.h"

namespace ajet::binding {
namespace {

template <Function* function>
void add(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<guarded<function>>(exports.Env(), name));
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  AddonData::attach(env);
  add<native_info>(exports, "info");

  add<load_model>(exports, "loadModel");
  add<create_model>(exports, "createModel");
  add<attach_model>(exports, "attachModel");
  add<model_share>(exports, "modelShare");
  add<model_writer>(exports, "modelWriter");
  add<model_shape>(exports, "modelShape");
  add<model_version>(exports, "modelVersion");
  add<model_weight_names>(exports, "modelWeightNames");
  add<model_memory>(exports, "modelMemory");
  add<model_save>(exports, "modelSave");
  add<model_read_weight>(exports, "modelReadWeight");
  add<model_write_weight>(exports, "modelWriteWeight");
  add<model_dispose>(exports, "modelDispose");

  add<create_engine>(exports, "createEngine");
  add<engine_generate>(exports, "engineGenerate");
  add<engine_cancel>(exports, "engineCancel");
  add<engine_cancel_all>(exports, "engineCancelAll");
  add<engine_stats>(exports, "engineStats");
  add<engine_max_context>(exports, "engineMaxContext");
  add<engine_reset_prefix_cache>(exports, "engineResetPrefixCache");
  add<engine_dispose>(exports, "engineDispose");

  add<create_trainer>(exports, "createTrainer");
  add<trainer_step>(exports, "trainerStep");
  add<trainer_abort_step>(exports, "trainerAbortStep");
  add<trainer_score>(exports, "trainerScore");
  add<trainer_steps_done>(exports, "trainerStepsDone");
  add<trainer_save_state>(exports, "trainerSaveState");
  add<trainer_load_state>(exports, "trainerLoadState");
  add<trainer_dispose>(exports, "trainerDispose");

  add<plan_memory>(exports, "planMemory");

  add<compute_advantages>(exports, "computeAdvantages");
  add<grpo_loss>(exports, "grpoLoss");
  add<loss_mask>(exports, "lossMask");
  add<loss_presets>(exports, "lossPresets");
  return exports;
}

}  // namespace
}  // namespace ajet::binding

static Napi::Object initialize(Napi::Env env, Napi::Object exports) { return ajet::binding::initialize(env, exports); }
NODE_API_MODULE(ajet, initialize)
