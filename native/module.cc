#include "module.h"

namespace kaio {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto* module = new Module;
  env.SetInstanceData<Module>(module);
  env.AddCleanupHook([](Module* ending) { ending->destroyRawContexts(); }, module);
  exportRaw(env, exports);
  exportContext(env, exports);
  exportFile(env, exports);
  return exports;
}

NODE_API_MODULE(kaio, init)

}  // namespace kaio
