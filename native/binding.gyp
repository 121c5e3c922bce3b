{
  "targets": [
    {
      "target_name": "kaio",
      "conditions": [
        ["OS=='linux'", {
          "sources": [
            "module.cc",
            "raw.cc",
            "context.cc",
            "offload.cc",
            "file.cc"
          ],
          "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
          "defines": ["NAPI_VERSION=8", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS", "_GNU_SOURCE"],
          "cflags": ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-fvisibility=hidden"],
          "cflags_cc": ["-std=c++17", "-fno-exceptions", "-fno-rtti"],
          "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
          "ldflags": ["-Wl,-z,nodelete", "-Wl,-z,relro,-z,now", "-static-libgcc"]
        }, {
          "type": "none"
        }]
      ]
    }
  ]
}
