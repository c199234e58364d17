// The functions that addon.cpp exports. Arguments and results: NativeAddon in src/native/addon-types.ts.
#pragma once

#include <napi.h>

namespace ajet::binding {

using Function = Napi::Value(const Napi::CallbackInfo&);

Function native_info;

Function load_model, create_model, attach_model, model_share, model_writer, model_shape, model_version,
    model_weight_names;
Function model_memory, model_save, model_read_weight, model_write_weight, model_dispose;

Function create_engine, engine_generate, engine_cancel, engine_cancel_all, engine_stats, engine_max_context;
Function engine_reset_prefix_cache, engine_dispose;

Function create_trainer, trainer_step, trainer_abort_step, trainer_score, trainer_steps_done;
Function trainer_save_state, trainer_load_state, trainer_dispose;

Function plan_memory;

Function compute_advantages, grpo_loss, loss_mask, loss_presets;

}  // namespace ajet::binding
