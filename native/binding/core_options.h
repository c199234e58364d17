// Options of models, engines and trainers as JavaScript gives them. `op` names the call in messages.
#pragma once

#include <napi.h>

#include "backend/device.h"
#include "infer/engine.h"
#include "train/trainer.h"

namespace ajet::binding {

DeviceRequest read_load_options(const char* op, Napi::Value value);     // LoadOptions
EngineConfig read_engine_options(const char* op, Napi::Value value);    // EngineOptions
TrainerConfig read_trainer_options(const char* op, Napi::Value value);  // TrainerOptions

}  // namespace ajet::binding
