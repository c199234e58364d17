// LossOptions of src/native/types.ts: a preset and what departs from it.
#pragma once

#include <napi.h>

#include "train/policy_loss.h"

namespace ajet::binding {

class Options;

LossConfig read_loss_options(const char* op, Napi::Value value);
// The fields that both LossOptions and computeAdvantages take; `config` holds the defaults.
void read_advantage_options(Options& options, AdvantageConfig& config);
// The inverse: every choice that the configuration makes, under LossOptions' names.
Napi::Object loss_config_to_js(Napi::Env env, const LossConfig& config);

}  // namespace ajet::binding
