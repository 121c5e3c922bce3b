// What one JavaScript environment (the main thread or a worker) has of this module.
#pragma once

#include <napi.h>
#include <uv.h>

namespace kaio {

struct Module {
  static Module* of(Napi::Env env) { return env.GetInstanceData<Module>(); }

  // Contexts that kaio/raw made here end with the environment: its memory, which they may write to, ends too.
  void destroyRawContexts();
};

void exportRaw(Napi::Env env, Napi::Object exports);
void exportContext(Napi::Env env, Napi::Object exports);
void exportFile(Napi::Env env, Napi::Object exports);

}  // namespace kaio
